//! Users, devices, passwords, tokens, user-interactive authentication, profiles, pushers and account data.
//!
//! One engine, [`Accounts`], with a file for each thing that one can do. It knows nothing of HTTP, of rooms or of
//! how often somebody may try: limits of rate are for the caller.
//!
//! What is secret is kept as a digest: tokens as SHA-256, passwords as Argon2id. A stolen database logs nobody in.
//!
//! Read in this order: [`users`], [`registration`], [`login`], [`session`] (what an access token stands for), `authentication`,
//! [`refresh_token`], [`devices`], [`user_interactive`]; of addresses [`request_validation`], [`submit_validation`],
//! [`validated`], [`threepids`], [`bindings`]; then the rest.

mod access_token;
pub mod account_data;
mod accounts;
pub mod add_threepid;
mod authentication;
pub mod bindings;
pub mod captcha;
pub mod change_password;
pub mod config;
pub mod deactivation;
pub mod devices;
mod erasure;
mod error;
pub mod filters;
mod guests;
mod last_seen;
pub mod login;
pub mod logout;
mod next_link;
pub mod openid;
pub mod password_hash;
pub mod passwords;
pub mod profile;
pub mod pushers;
pub mod refresh_token;
pub mod register_invited;
pub mod registration;
mod registration_flows;
pub mod registration_tokens;
mod remembered_registration;
pub mod replaced_rooms;
pub mod request_validation;
mod seen_devices;
pub mod session;
mod session_cache;
mod session_ends;
pub mod shared_secret;
mod spent_nonces;
pub mod submit_validation;
mod tables;
pub mod tags;
pub mod threepids;
pub mod user_interactive;
mod user_turns;
pub mod username;
pub mod users;
pub mod validated;
mod validation_grammar;

#[cfg(test)]
mod tests;

pub use gatehouse_secrets::Secret;
use gatehouse_secrets::random;

pub use self::{
    account_data::{AccountData, AccountDataError},
    accounts::Accounts,
    add_threepid::AddThreepidError,
    bindings::Binding,
    captcha::{Captcha, CaptchaUnavailable, CaptchaVerifier},
    change_password::{ChangePasswordError, PasswordChange},
    config::{Config, Registration},
    devices::{Device, DeviceError, DeviceRequest, LoggedIn, NewDeviceError},
    error::Unavailable,
    filters::FilterError,
    login::LoginError,
    openid::OpenIdToken,
    password_hash::HashError,
    passwords::PasswordError,
    profile::{Profile, ProfileChange, ProfileError},
    pushers::{Pusher, PusherError, PusherKind},
    refresh_token::{RefreshError, Refreshed},
    register_invited::InvitedUser,
    registration::{NewUser, Registered, RegistrationError, RegistrationRequest},
    registration_tokens::{NewToken, RegistrationToken, RegistrationTokenError, RegistrationTokenTerms},
    request_validation::{Purpose, RequestValidationError, RequestedValidation, ValidationRequest},
    session::{AuthError, Session},
    shared_secret::{SharedSecretError, SharedSecretRequest},
    submit_validation::{SubmitValidationError, Submitted, TokenSubmission},
    tags::TagError,
    threepids::{AccountThreepid, ThreepidError},
    user_interactive::{Challenge, Flow, Stage, StageFailure, UiaError, UiaRequest},
    username::UsernameError,
    users::{User, UserError, UserMark},
    validated::{ProvenAddress, ValidatedError},
};
