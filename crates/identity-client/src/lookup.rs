//! Whose is an address?

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use gatehouse_mail::Threepid;
use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::calls::{CallError, Caller};

/// How often a changed pepper is asked for anew.
const ATTEMPTS: usize = 3;

/// Longer peppers are nobody's.
const MAX_PEPPER_BYTES: usize = 1_024;

#[derive(Deserialize)]
struct HashDetails {
    algorithms: Vec<String>,
    lookup_pepper: String,
}

#[derive(Deserialize)]
struct Mappings {
    mappings: HashMap<String, Option<String>>,
}

/// `POST /_matrix/identity/v2/lookup`, hashed where the server can.
pub(crate) async fn v2(caller: &Caller<'_>, address: &Threepid) -> Result<Option<OwnedUserId>, CallError> {
    for _ in 0..ATTEMPTS {
        let details: HashDetails = caller.get("/_matrix/identity/v2/hash_details", &[]).await?;
        if details.lookup_pepper.len() > MAX_PEPPER_BYTES {
            return Err(CallError::BadAnswer);
        }
        let knows = |algorithm: &str| details.algorithms.iter().any(|known| known == algorithm);
        let (algorithm, asked) = if knows("sha256") {
            ("sha256", hashed(address, &details.lookup_pepper))
        } else if knows("none") {
            (
                "none",
                format!("{} {}", address.address(), address.medium().as_str()),
            )
        } else {
            return Err(CallError::BadAnswer);
        };
        let body = json!({ "addresses": [asked], "algorithm": algorithm, "pepper": details.lookup_pepper });
        match caller
            .post::<Mappings>("/_matrix/identity/v2/lookup", &body)
            .await
        {
            Ok(found) => return owner(found.mappings.get(&asked).cloned().flatten()),
            Err(CallError::InvalidPepper) => {}
            Err(error) => return Err(error),
        }
    }
    Err(CallError::InvalidPepper)
}

/// `GET /_matrix/identity/api/v1/lookup`. The association is signed by the server, which TLS has proven to be itself.
pub(crate) async fn v1(caller: &Caller<'_>, address: &Threepid) -> Result<Option<OwnedUserId>, CallError> {
    #[derive(Deserialize)]
    struct Association {
        mxid: Option<String>,
    }
    let query = [
        ("medium", address.medium().as_str()),
        ("address", address.address()),
    ];
    match caller
        .get::<Association>("/_matrix/identity/api/v1/lookup", &query)
        .await
    {
        Ok(association) => owner(association.mxid),
        Err(error) => Err(error),
    }
}

fn owner(mxid: Option<String>) -> Result<Option<OwnedUserId>, CallError> {
    mxid.map(|mxid| OwnedUserId::try_from(mxid).map_err(|_| CallError::BadAnswer))
        .transpose()
}

/// The address as it is looked up (identity service API, "Address hashing").
fn hashed(address: &Threepid, pepper: &str) -> String {
    let text = format!("{} {} {pepper}", address.address(), address.medium().as_str());
    URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The specification's example.
    #[test]
    fn addresses_are_hashed_as_the_specification_says() {
        let hash = |medium, address| hashed(&Threepid::parse(medium, address).unwrap(), "matrixrocks");
        assert_eq!(
            hash("email", "alice@example.com"),
            "4kenr7N9drpCJ4AfalmlGQVsOn3o2RHjkADUpXJWZUc"
        );
        assert_eq!(
            hash("email", "bob@example.com"),
            "LJwSazmv46n0hlMlsb_iYxI0_HXEqy_yj6Jm636cdT8"
        );
        assert_eq!(
            hash("msisdn", "18005552067"),
            "nlo35_T5fzSGZzJApqu8lgIudJvmOQtDaHtr-I4rU7I"
        );
    }
}
