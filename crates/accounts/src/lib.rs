//! Users, devices, passwords, tokens, user-interactive authentication, profiles and account data.
