//! Servers that nobody here wrote, as partners of the program as it is installed: Sydent as the identity server of our
//! homeserver, and Synapse as a homeserver that our identity service serves and as one that shares rooms with ours. Each
//! test starts its own, on loopback, with certificates of an authority that ends with it.
//!
//! `cargo xtask test` makes their environments in `target/scratch`, from the pins in `testing/partners`.

mod authority;
mod federation;
mod gatehouse;
mod identity_account;
mod invitation;
mod partner;
mod person;
mod room_acts;
mod sms_gateway;
mod sydent;
mod sydent_stories;
mod synapse;
mod synapse_stories;
