//! The web pages that mails lead to: plain HTML that works without scripts.
//!
//! They explain, and let whoever was invited come in: with a client that they have, with an account that they have here,
//! or with one made right there.
//! A page knows no more of Matrix than the engines tell it.
//!
//! Read in this order: [`pages`], `router`, `invitation`, `make_account`, `sign_in`, `join`, `validation`, `failures`, `html`,
//! [`client_links`], `pass`; then [`alone`], for an identity server without a homeserver.

pub mod alone;
pub mod client_links;
mod failures;
mod html;
mod invitation;
mod join;
mod make_account;
pub mod pages;
mod pass;
mod router;
mod sign_in;
mod validation;

pub use self::{
    alone::{IdentityPages, IdentityPagesConfig},
    client_links::Client,
    pages::{PASS_KEY_PURPOSE, Pages, PagesConfig, PagesError},
};
