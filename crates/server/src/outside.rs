//! How the server reaches what is outside: the door for its requests, and the mail.

use std::sync::Arc;

use gatehouse_events::Clock;
use gatehouse_federation::{FederationConfig, OldKey, PduPace};
use gatehouse_identity_client::Trust;
use gatehouse_mail::{
    Carriers, Outbox, OutboxConfig, SmsBody, SmsCarrier, SmsConfig, SmtpCarrier, SmtpConfig, SmtpTls,
    Templates,
};
use gatehouse_outbound::{Outbound, OutboundConfig};
use gatehouse_store::Store;
use ruma::OwnedServerName;
use serde_json::json;

use crate::{
    StartError,
    config::{self, Config},
};

/// The door for requests to identity servers.
pub(crate) fn outbound(config: &Config, trust: &Trust) -> Result<Outbound, StartError> {
    door(config, trust.named().map(ToOwned::to_owned).collect())
}

/// A door to what the operator named, and to what is in no private network.
pub(crate) fn door(config: &Config, exempt: Vec<String>) -> Result<Outbound, StartError> {
    Ok(Outbound::new(&OutboundConfig {
        verify_tls: config.outbound_http.verify_tls,
        deny_ip_ranges: config.outbound_http.deny_ip_ranges.clone(),
        exempt,
        extra_ca_files: config.outbound_http.extra_ca_files.clone(),
        service: None,
    })?)
}

/// The door for requests to other homeservers; `None`: there are none.
pub(crate) fn federation_outbound(config: &Config) -> Result<Option<Outbound>, StartError> {
    let federation = &config.federation;
    if !federation.enabled {
        return Ok(None);
    }
    let outbound = Outbound::new(&OutboundConfig {
        verify_tls: true,
        deny_ip_ranges: federation.deny_ip_ranges.clone(),
        exempt: Vec::new(),
        extra_ca_files: federation.extra_ca_files.clone(),
        service: Some(gatehouse_federation::discovery::service()),
    })?;
    Ok(Some(outbound))
}

/// What federation is told by the operator.
pub(crate) fn federation_config(config: &Config) -> Result<FederationConfig, StartError> {
    let federation = &config.federation;
    let name = |name: &String| {
        OwnedServerName::try_from(name.as_str()).map_err(|_| StartError::ServerName(name.clone()))
    };
    let old_key = |old: &config::OldKey| OldKey {
        key_id: old.key_id.clone(),
        key: old.key.clone(),
        expired_ts: old.expired_ts,
    };
    Ok(FederationConfig {
        trusted_key_servers: federation
            .trusted_key_servers
            .iter()
            .map(name)
            .collect::<Result<_, _>>()?,
        denied_keys: federation.denied_keys.clone(),
        old_keys: federation.old_keys.iter().map(old_key).collect(),
        allow_servers: federation.allow_servers.clone(),
        deny_servers: federation.deny_servers.clone(),
        pdu_pace: config.rate_limits.enabled.then(PduPace::default),
        ..FederationConfig::default()
    })
}

/// Where messages wait, with those who carry them, as far as they are set up.
pub(crate) fn outbox(config: &Config, store: &Store, clock: &Clock) -> Result<Outbox, StartError> {
    if config.registration.email_required && config.email.smtp_host.is_none() {
        return Err(StartError::MailRequired);
    }
    let templates = Templates::overridden(config.email.templates.as_deref())?;
    let carriers = Carriers {
        email: match smtp(&config.email)? {
            Some(smtp) => Some(Arc::new(SmtpCarrier::new(&smtp)?)),
            None => None,
        },
        sms: match sms(config)? {
            Some(carrier) => Some(Arc::new(carrier)),
            None => None,
        },
    };
    let server_name = config.server_name.clone();
    Ok(Outbox::new(
        store.clone(),
        clock.clone(),
        carriers,
        OutboxConfig { server_name },
        templates,
    ))
}

/// The mail server, if there is one.
pub(crate) fn smtp(email: &config::Email) -> Result<Option<SmtpConfig>, StartError> {
    let Some(host) = email.smtp_host.clone() else {
        return Ok(None);
    };
    let from = email.from.clone().ok_or(StartError::MailFrom)?;
    let login = match (&email.smtp_user, &email.smtp_password) {
        (Some(user), Some(password)) => Some((user.clone(), password.clone())),
        (None, None) => None,
        _ => return Err(StartError::HalfLogin),
    };
    Ok(Some(SmtpConfig {
        host,
        port: email.smtp_port,
        tls: match email.smtp_tls {
            config::SmtpTls::None => SmtpTls::None,
            config::SmtpTls::Starttls => SmtpTls::Starttls,
            config::SmtpTls::Tls => SmtpTls::Tls,
        },
        login,
        from,
        extra_ca_files: email.extra_ca_files.clone(),
    }))
}

/// The gateway has a door of its own: through the other one a user could reach it by naming it as an identity server.
fn sms(config: &Config) -> Result<Option<SmsCarrier>, StartError> {
    let sms = &config.sms;
    let Some(url) = sms.url.clone() else {
        return Ok(None);
    };
    let exempt = authority(&url).map(ToOwned::to_owned).into_iter().collect();
    let token = sms.token.clone();
    let mut carrier = SmsCarrier::new(door(config, exempt)?, SmsConfig { url, token });
    for (name, value) in &sms.headers {
        carrier = carrier.with_header(name, value)?;
    }
    let body = match (sms.format, sms.body.is_empty()) {
        (config::SmsFormat::Json, true) => SmsBody::json(),
        (config::SmsFormat::Form, true) => SmsBody::form(),
        (config::SmsFormat::Json, false) => SmsBody::Json(json!(sms.body)),
        (config::SmsFormat::Form, false) => SmsBody::Form(fields(&sms.body)?),
    };
    Ok(Some(carrier.with_body(body)?))
}

fn fields(body: &toml::Table) -> Result<Vec<(String, String)>, StartError> {
    let field = |(name, value): (&String, &toml::Value)| {
        let text = value.as_str().ok_or_else(|| StartError::SmsField(name.clone()))?;
        Ok((name.clone(), text.to_owned()))
    };
    body.iter().map(field).collect()
}

/// Host and port of a URL.
pub(crate) fn authority(url: &str) -> Option<&str> {
    let rest = url.split_once("://")?.1;
    rest.split(['/', '?', '#'])
        .next()
        .filter(|authority| !authority.is_empty())
}

#[cfg(test)]
mod tests {
    use gatehouse_mail::Medium;
    use gatehouse_store::memory::MemoryBackend;

    use super::*;

    fn can_send(settings: &str) -> Result<[bool; 2], StartError> {
        let config: Config = toml::from_str(settings).unwrap();
        let store = Store::new(Arc::new(MemoryBackend::new()));
        let outbox = outbox(&config, &store, &Clock::manual(0))?;
        Ok([Medium::Email, Medium::Msisdn].map(|medium| outbox.can_send(medium)))
    }

    #[test]
    fn what_is_set_up_can_be_sent_by() {
        assert_eq!(can_send("").unwrap(), [false, false]);
        let mail = "[email]\nsmtp_host = 'mail.example'\nfrom = 'Us <us@example.org>'";
        assert_eq!(can_send(mail).unwrap(), [true, false]);
        for gateway in [
            "",
            "format = 'form'",
            "headers = { X-Key = 'x' }\nbody = { messages = [{ to = '{number}', text = 'Hi: {text}' }], test = true }",
            "format = 'form'\nbody = { To = '{number}', Body = '{text}' }",
        ] {
            let gateway = format!("[sms]\nurl = 'http://127.0.0.1:9/send'\n{gateway}");
            assert_eq!(can_send(&gateway).unwrap(), [false, true], "{gateway}");
        }
    }

    #[test]
    fn an_address_that_cannot_be_proven_is_not_required() {
        let required = "[registration]\nemail_required = true\n";
        assert!(matches!(can_send(required), Err(StartError::MailRequired)));
        let mail = format!("{required}[email]\nsmtp_host = 'mail.example'\nfrom = 'us@example.org'");
        assert_eq!(can_send(&mail).unwrap(), [true, false]);
    }

    #[test]
    fn settings_that_do_not_fit_are_named() {
        for (settings, named) in [
            ("[email]\nsmtp_host = 'mail.example'", "from"),
            ("[email]\nsmtp_host = 'mail.example'\nfrom = 'us'", "from"),
            (
                "[email]\nsmtp_host = 'mail.example'\nfrom = 'us@example.org'\nsmtp_user = 'us'",
                "smtp_password",
            ),
            (
                "[email]\nsmtp_host = 'mail.example'\nfrom = 'us@example.org'\nextra_ca_files = ['/nowhere']",
                "/nowhere",
            ),
            ("[sms]\nurl = 'http://a'\nbody = { to = '{number}' }", "{text}"),
            (
                "[sms]\nurl = 'http://a'\nformat = 'form'\nbody = { to = 1, text = '{text}' }",
                "`to`",
            ),
            ("[sms]\nurl = 'http://a'\nheaders = { 'X Key' = '' }", "X Key"),
        ] {
            let error = can_send(settings).unwrap_err().to_string();
            assert!(error.contains(named), "{settings}: {error}");
        }
    }
}
