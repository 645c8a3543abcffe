//! The bundled identity service, asked over HTTP beside the homeserver that it confirms its users with. One binary, so
//! that it links once.

#[cfg(test)]
mod accounts;
#[cfg(test)]
mod associations;
#[cfg(test)]
mod identity_server;
#[cfg(test)]
mod legacy_v1;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod lookup;
#[cfg(test)]
mod private_addresses;
#[cfg(test)]
mod validation;
