//! Asking a service whether a captcha was answered well: `siteverify` of reCAPTCHA, which others speak too.

use std::{net::IpAddr, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use gatehouse_accounts::{Captcha, CaptchaUnavailable, CaptchaVerifier, Secret};
use gatehouse_outbound::{Outbound, OutboundRequest, http::Method};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::{
    StartError,
    config::Config,
    outside::{authority, door},
};

/// How long the service may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long its answer may be: it is a handful of fields.
const MAX_BYTES: usize = 16 << 10;

/// How many answers are checked at once. Who comes when so many wait is asked to come again.
const AT_ONCE: usize = 64;

/// The captcha that the configuration names.
pub(crate) fn captcha(config: &Config) -> Result<Option<Captcha>, StartError> {
    let settings = &config.recaptcha;
    let keys = [&settings.verify_url, &settings.public_key, &settings.private_key];
    if !settings.required && keys.iter().all(|key| key.is_none()) {
        return Ok(None);
    }
    let [verify_url, public_key, private_key] = keys;
    let verify_url = needed("verify_url", verify_url.as_deref())?;
    let public_key = needed("public_key", public_key.as_deref())?;
    let private_key = needed("private_key", private_key.as_deref())?;
    let is_http = ["https://", "http://"]
        .iter()
        .any(|scheme| verify_url.starts_with(scheme));
    let host = authority(&verify_url).filter(|_| is_http);
    let host = host.ok_or(StartError::RecaptchaUrl)?.to_owned();
    let verifier = Recaptcha {
        // A door of its own: through another one a user could reach the service by naming it.
        outbound: door(config, vec![host])?,
        verify_url,
        private_key: Secret::new(private_key),
        turns: Semaphore::new(AT_ONCE),
    };
    Ok(Some(Captcha {
        verifier: Arc::new(verifier),
        public_key,
        required: settings.required,
    }))
}

fn needed(name: &'static str, value: Option<&str>) -> Result<String, StartError> {
    let value = value.filter(|value| !value.is_empty());
    value.map(ToOwned::to_owned).ok_or(StartError::Recaptcha(name))
}

/// The service.
struct Recaptcha {
    outbound: Outbound,
    verify_url: String,
    private_key: Secret,
    turns: Semaphore,
}

impl Recaptcha {
    async fn ask(&self, answer: &str, address: Option<IpAddr>) -> Result<bool, CaptchaUnavailable> {
        let Ok(_turn) = self.turns.try_acquire() else {
            tracing::warn!("too many captchas are being checked at once");
            return Err(CaptchaUnavailable);
        };
        let request = OutboundRequest::new(Method::POST, &self.verify_url)
            .body(
                "application/x-www-form-urlencoded",
                self.form(answer, address).into(),
            )
            .timeout(TIMEOUT)
            .max_bytes(MAX_BYTES)
            .allow_http();
        let said = match self.outbound.send(request).await {
            Ok(said) if said.status == 200 => said.json(),
            Ok(said) => {
                tracing::warn!(status = said.status, "the captcha service does not check answers");
                return Err(CaptchaUnavailable);
            }
            Err(error) => Err(error),
        };
        let said = said.map_err(|error| {
            tracing::warn!(%error, "the captcha service cannot be asked");
            CaptchaUnavailable
        })?;
        verdict(&said)
    }

    fn form(&self, answer: &str, address: Option<IpAddr>) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("secret", self.private_key.expose());
        form.append_pair("response", answer);
        if let Some(address) = address {
            form.append_pair("remoteip", &address.to_string());
        }
        form.finish()
    }
}

impl CaptchaVerifier for Recaptcha {
    fn verify<'a>(
        &'a self,
        answer: &'a str,
        address: Option<IpAddr>,
    ) -> BoxFuture<'a, Result<bool, CaptchaUnavailable>> {
        self.ask(answer, address).boxed()
    }
}

/// What the service says. That our own key is wrong is not for people to mend who register.
fn verdict(said: &Value) -> Result<bool, CaptchaUnavailable> {
    let Some(success) = said.get("success").and_then(Value::as_bool) else {
        tracing::warn!("the captcha service says neither that an answer is right nor that it is wrong");
        return Err(CaptchaUnavailable);
    };
    let codes = said.get("error-codes").and_then(Value::as_array);
    let is_ours = |code: &Value| code.as_str().is_some_and(|code| code.ends_with("-input-secret"));
    if !success && codes.is_some_and(|codes| codes.iter().any(is_ours)) {
        tracing::error!("the captcha service does not accept `[recaptcha] private_key`");
        return Err(CaptchaUnavailable);
    }
    Ok(success)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_clear_word_of_the_service_counts() {
        assert_eq!(verdict(&json!({ "success": true })), Ok(true));
        let wrong = json!({ "success": false, "error-codes": ["timeout-or-duplicate"] });
        assert_eq!(verdict(&wrong), Ok(false));
        for unclear in [
            json!({}),
            json!([]),
            json!("true"),
            json!({ "success": "true" }),
            json!({ "success": 1 }),
            json!({ "success": null }),
            json!({ "success": false, "error-codes": ["invalid-input-secret"] }),
        ] {
            assert_eq!(verdict(&unclear), Err(CaptchaUnavailable), "{unclear}");
        }
    }

    fn set_up(settings: &str) -> Result<Option<Captcha>, StartError> {
        captcha(&toml::from_str(&format!("[recaptcha]\n{settings}")).unwrap())
    }

    #[test]
    fn a_captcha_that_cannot_be_checked_is_not_asked_for() {
        assert!(set_up("").unwrap().is_none());
        let whole = "verify_url = 'https://captcha.example/verify'\npublic_key = 'p'\nprivate_key = 's'\n";
        assert!(!set_up(whole).unwrap().unwrap().required);
        assert!(
            set_up(&format!("{whole}required = true"))
                .unwrap()
                .unwrap()
                .required
        );
        for (settings, named) in [
            ("required = true", "verify_url"),
            ("public_key = 'p'\nprivate_key = 's'", "verify_url"),
            (
                "verify_url = 'https://captcha.example/'\nprivate_key = 's'",
                "public_key",
            ),
            (
                "verify_url = 'https://captcha.example/'\npublic_key = 'p'",
                "private_key",
            ),
            (
                "required = true\nverify_url = 'https://captcha.example/'\npublic_key = 'p'\nprivate_key = ''",
                "private_key",
            ),
            (
                "verify_url = 'captcha.example'\npublic_key = 'p'\nprivate_key = 's'",
                "URL",
            ),
        ] {
            let error = set_up(settings).unwrap_err().to_string();
            assert!(error.contains(named), "{settings}: {error}");
        }
    }
}
