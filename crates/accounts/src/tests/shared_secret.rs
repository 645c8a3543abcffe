use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::{House, house, house_with};
use crate::{Secret, SharedSecretError, SharedSecretRequest, shared_secret::hex};

fn mac(secret: &str, parts: &[&str]) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(parts.join("\0").as_bytes());
    hex(&mac.finalize().into_bytes())
}

fn check(house: &House, nonce: &str, admin: bool, mac: &str) -> Result<(), SharedSecretError> {
    house.accounts.check_shared_secret(&SharedSecretRequest {
        nonce,
        username: "alice",
        password: &Secret::new("sesame"),
        admin,
        user_type: None,
        mac,
    })
}

#[tokio::test]
async fn the_right_code_is_accepted_once() {
    let house = house();
    let nonce = house.accounts.registration_nonce().unwrap();
    let code = mac("reg_secret", &[&nonce, "alice", "sesame", "admin"]);
    assert!(matches!(
        check(&house, &nonce, false, &code),
        Err(SharedSecretError::InvalidMac)
    ));
    assert!(check(&house, &nonce, true, &code).is_ok());
    assert!(matches!(
        check(&house, &nonce, true, &code),
        Err(SharedSecretError::InvalidNonce)
    ));
}

#[tokio::test]
async fn wrong_codes_and_nonces_are_refused() {
    let house = house();
    let nonce = house.accounts.registration_nonce().unwrap();
    for code in [
        "",
        "zz",
        "é",
        "00",
        &mac("other", &[&nonce, "alice", "sesame", "notadmin"]),
    ] {
        assert!(
            matches!(
                check(&house, &nonce, false, code),
                Err(SharedSecretError::InvalidMac)
            ),
            "{code}"
        );
    }
    let own = "0".repeat(112);
    for nonce in ["", "abc", &"é".repeat(60), &own] {
        let code = mac("reg_secret", &[nonce, "alice", "sesame", "notadmin"]);
        assert!(
            matches!(
                check(&house, nonce, false, &code),
                Err(SharedSecretError::InvalidNonce)
            ),
            "{nonce}"
        );
    }
    house.clock.advance(Duration::from_millis(60_001));
    let code = mac("reg_secret", &[&nonce, "alice", "sesame", "notadmin"]);
    assert!(matches!(
        check(&house, &nonce, false, &code),
        Err(SharedSecretError::InvalidNonce)
    ));
}

#[tokio::test]
async fn e09_without_a_secret_it_is_off() {
    for secret in [None, Some(Secret::new(""))] {
        let house = house_with(|config| config.registration.shared_secret = secret);
        assert!(matches!(
            house.accounts.registration_nonce(),
            Err(SharedSecretError::Disabled)
        ));
        let code = mac("", &["", "alice", "sesame", "notadmin"]);
        assert!(matches!(
            check(&house, "", false, &code),
            Err(SharedSecretError::Disabled)
        ));
    }
}
