//! Is a key of an invitation still in force? Whoever turns the invitation into an invite has to ask.

use serde::Deserialize;

use crate::{
    IdentityClient,
    calls::{CallError, Caller},
    error::IdentityClientError,
};

#[derive(Deserialize)]
struct Validity {
    valid: bool,
}

impl IdentityClient {
    /// Asks where the invitation says (client-server API, `m.room.third_party_invite`, `key_validity_url`). Anybody
    /// may have written that URL, so it is asked through the door like any other (T14, T15).
    pub async fn is_key_valid(
        &self,
        key_validity_url: &str,
        public_key: &str,
    ) -> Result<bool, IdentityClientError> {
        if let Some(identity) = self.bundled()
            && let Some(path) = key_validity_url.strip_prefix(self.bundled_baseurl())
            && path.starts_with('/')
        {
            let valid = if path.contains("/ephemeral/") {
                identity.is_ephemeral_valid(public_key).await
            } else {
                identity.is_valid(public_key).await
            };
            return valid.map_err(|error| IdentityClientError::Unavailable(Box::new(error)));
        }
        let caller = Caller {
            outbound: self.outbound(),
            base: key_validity_url,
            token: None,
            plain: self.trust().is_named_without_tls(key_validity_url),
        };
        let answer: Result<Validity, CallError> = caller.get("", &[("public_key", public_key)]).await;
        match answer {
            Ok(answer) => Ok(answer.valid),
            Err(error) => Err(IdentityClientError::of(&error, key_validity_url)),
        }
    }
}
