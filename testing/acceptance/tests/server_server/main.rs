//! The server-server API, by page of the specification.

#[cfg(test)]
mod keys_server;
#[cfg(test)]
mod openid;
#[cfg(test)]
mod third_party_invite;
