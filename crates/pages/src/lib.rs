//! The web pages that mails lead to: plain HTML that works without scripts.
//!
//! They explain, and let whoever was invited come in: with a client that they have, or with an account made right there.
//! A page knows no more of Matrix than the engines tell it.
//!
//! Read in this order: [`pages`], `invitation`, `html`, [`client_links`], `pass`; then [`alone`], for an identity server
//! without a homeserver.

pub mod alone;
pub mod client_links;
mod html;
mod invitation;
pub mod pages;
mod pass;

pub use self::{
    alone::{IdentityPages, IdentityPagesConfig},
    client_links::Client,
    pages::{PASS_KEY_PURPOSE, Pages, PagesConfig, PagesError},
};
