//! What is sent.

use minijinja::{Value, context};

use crate::{
    Medium,
    shown::{INVITER, ROOM, shown},
};

/// What is sent, with what its template may say. Has no `Debug`: links and codes are secrets.
#[derive(Clone, PartialEq, Eq)]
pub enum Letter {
    /// Prove that the address is yours.
    Validation {
        /// Opens what proves it. Empty for text messages, which have a code.
        link: String,
        /// To be entered instead.
        code: Option<String>,
    },
    /// Prove that the address is yours, so that the password of its account can be set.
    PasswordReset {
        /// Opens what proves it.
        link: String,
    },
    /// Somebody invites whoever has the address.
    Invitation {
        /// Who, in the words that others see them under.
        inviter: String,
        /// Into what, when it has a name.
        room: Option<String>,
        /// Opens the invitation.
        link: String,
    },
    /// Somebody wanted the address for an account; it has one (security.md T26).
    AddressInUse,
    /// Somebody wanted to set the password of an account with the address; there is none (T26).
    NoAccount,
}

impl Letter {
    /// One of each kind, and of each that leaves something unsaid.
    pub(crate) fn examples() -> [Self; 7] {
        let link = || "https://example.org/x?a=1&b=2".to_owned();
        let validation = |code: Option<&str>| Self::Validation {
            link: link(),
            code: code.map(ToOwned::to_owned),
        };
        let invitation = |room: Option<&str>| Self::Invitation {
            inviter: "Alice".to_owned(),
            room: room.map(ToOwned::to_owned),
            link: link(),
        };
        [
            validation(Some("123456")),
            validation(None),
            Self::PasswordReset { link: link() },
            invitation(None),
            invitation(Some("Cats")),
            Self::AddressInUse,
            Self::NoAccount,
        ]
    }

    /// The name of its templates; `None`: it is not sent by this medium.
    pub(crate) fn template(&self, medium: Medium) -> Option<&'static str> {
        match (self, medium) {
            (Self::Validation { .. }, _) => Some("validation"),
            (Self::Invitation { .. }, _) => Some("invitation"),
            (Self::PasswordReset { .. }, Medium::Email) => Some("password_reset"),
            (Self::AddressInUse, Medium::Email) => Some("address_in_use"),
            (Self::NoAccount, Medium::Email) => Some("no_account"),
            (Self::PasswordReset { .. } | Self::AddressInUse | Self::NoAccount, Medium::Msisdn) => None,
        }
    }

    /// What its template may say.
    pub(crate) fn context(&self, server_name: &str) -> Value {
        match self {
            Self::Validation { link, code } => context! { server_name, link, code },
            Self::PasswordReset { link } => context! { server_name, link },
            Self::Invitation { inviter, room, link } => context! {
                server_name,
                link,
                inviter => shown(inviter, INVITER),
                room => room.as_deref().map(|room| shown(room, ROOM)).filter(|room| !room.is_empty()),
            },
            Self::AddressInUse | Self::NoAccount => context! { server_name },
        }
    }
}
