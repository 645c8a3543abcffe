//! The client-server API: today's, r0 and the legacy v1.
