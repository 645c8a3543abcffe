//! The identity service: who an address belongs to, and who is invited by it.
//!
//! One engine, [`Identity`], with a file for each thing that one can do. It knows nothing of HTTP and of rooms, and asks
//! homeservers through a port ([`homeservers`]). Tokens are kept as digests, and addresses never reach a log.
//!
//! Read in this order: `identity`, `tables`, [`homeservers`], [`accounts`], [`terms`], [`keys`], `pepper`,
//! [`lookup`], [`pepper_rotation`], [`housekeeping`]; then [`validation`], [`validation_submission`], [`associations`],
//! [`invitations`], `repeated_invitation`, [`sign`], [`onbind_queue`], [`invitation_pages`].

mod access_token;
pub mod accounts;
mod association_row;
pub mod associations;
pub mod config;
mod digest;
mod error;
pub mod homeservers;
pub mod housekeeping;
mod identity;
pub mod invitation_pages;
pub mod invitations;
pub mod keys;
pub mod lookup;
mod lookup_budget;
mod next_link;
pub mod onbind_queue;
mod pepper;
pub mod pepper_rotation;
mod policy;
mod rates;
mod redaction;
mod repeated_invitation;
mod seal;
mod session_grammar;
pub mod sign;
mod tables;
pub mod terms;
#[cfg(test)]
mod tests;
pub mod validation;
pub mod validation_submission;

pub use gatehouse_secrets::Secret;
use gatehouse_secrets::random;

pub use self::{
    accounts::{AuthError, IdentitySession, OpenIdToken, RegisterError},
    associations::{BindError, UnbindError, UnbindProof},
    config::{Config, LookupConfig},
    error::Unavailable,
    homeservers::{HomeserverError, Homeservers, SignedRequest},
    identity::Identity,
    invitation_pages::{AcceptError, InvitationPage, InvitationPageError, InvitationState},
    invitations::{InviteKey, RoomFacts, StoreInvite, StoreInviteError, StoredInvite},
    keys::{LongLivedKey, RevokeKeyError},
    lookup::{HashDetails, LookupError, LookupRequest},
    pepper_rotation::RotatePepperError,
    policy::{Policy, PolicyText},
    rates::{Rate, Rates},
    seal::SealingKey,
    sign::SignError,
    validation::{RequestTokenError, ValidationRequest},
    validation_submission::{SubmitTokenError, Submitted, TokenSubmission, Validated, ValidatedError},
};
