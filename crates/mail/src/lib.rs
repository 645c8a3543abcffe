//! E-mail and text messages: addresses, letters, a queue that loses nothing, and those who carry.
//!
//! Whoever wants something sent adds it to the commit that it belongs to: [`Outbox::enqueue`]. From then on it is
//! durable, and is sent after the commit, again and again for a day, by one node at a time. What cannot be sent is
//! reported in the log. Addresses never are.
//!
//! This crate does not know what a letter is for: who may have one sent, and how often, is for its callers.
//!
//! Read in this order: [`threepid`], [`letter`], [`templates`], [`outbox`], `delivery`, [`carrier`], [`smtp`], [`sms`].

mod calling_codes;
pub mod carrier;
mod delivery;
mod helo;
pub mod letter;
pub mod outbox;
mod phone;
pub mod shown;
pub mod sms;
pub mod smtp;
mod tables;
pub mod templates;
pub mod threepid;

pub use self::{
    carrier::{Carrier, DeliveryError, Message},
    letter::Letter,
    outbox::{CannotSend, Carriers, Counts, Outbox, OutboxConfig},
    shown::one_line,
    sms::{SmsBody, SmsCarrier, SmsConfig, SmsSetupError},
    smtp::{SmtpCarrier, SmtpConfig, SmtpSetupError, SmtpTls},
    templates::{TemplateError, Templates},
    threepid::{InvalidThreepid, Medium, Threepid},
};
