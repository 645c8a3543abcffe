//! What servers said that did not agree: the user is told what says most.

use ruma::ServerName;

use crate::{
    remote_servers::RemoteError,
    write_error::{Refusal, WriteError},
};

/// The most telling failure so far.
#[derive(Debug, Default)]
pub(super) struct Told(Option<WriteError>);

impl Told {
    /// Takes in why a server did not agree. `Err`: no other server will see it otherwise.
    pub(super) fn hear(&mut self, server: &ServerName, error: WriteError) -> Result<(), WriteError> {
        tracing::info!(%server, %error, "a server did not agree");
        if !is_about_others(&error) {
            return Err(error);
        }
        if self.0.as_ref().is_none_or(|told| weight(told) < weight(&error)) {
            self.0 = Some(error);
        }
        Ok(())
    }

    /// What to tell; where nobody could be asked, that the room is unknown.
    pub(super) fn most_telling(self) -> WriteError {
        self.0.unwrap_or(WriteError::NoSuchRoom)
    }
}

/// Whether another server may see it otherwise.
fn is_about_others(error: &WriteError) -> bool {
    matches!(
        error,
        WriteError::Remote(_)
            | WriteError::UnknownRoomVersion(_)
            | WriteError::NoSuchRoom
            | WriteError::Refused(Refusal::NotInAllowedRoom)
    )
}

/// How much a failure says to the person who asked.
fn weight(error: &WriteError) -> u8 {
    match error {
        WriteError::Remote(RemoteError::Refused { errcode, .. }) => match errcode.as_str() {
            "M_FORBIDDEN" => 6,
            "M_UNABLE_TO_GRANT_JOIN" | "M_UNABLE_TO_AUTHORISE_JOIN" => 4,
            "M_NOT_FOUND" => 3,
            _ => 2,
        },
        WriteError::Refused(_) => 6,
        WriteError::UnknownRoomVersion(_) | WriteError::Remote(RemoteError::IncompatibleVersion(_)) => 5,
        WriteError::Remote(RemoteError::BadAnswer) => 2,
        WriteError::Remote(RemoteError::Unreachable) => 1,
        _ => 0,
    }
}
