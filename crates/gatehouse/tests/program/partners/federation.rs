//! Synapse as another homeserver, with rooms of both servers, in every room version that both know. Each story is told
//! twice for each version: once in a room of ours, and once in a room of Synapse.
//!
//! What both servers believe of a room in the end is compared event by event, and what either complains about in its log
//! fails the test.

mod agreement;
mod directory;
mod gate;
mod inviting;
mod joining;
mod knocking;
mod moderation;
mod outages;
mod pair;
mod restricted;
mod server_acl;
mod talking;
mod third_party;
mod upgrading;
mod world;
