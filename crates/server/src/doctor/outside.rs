//! What the own server needs outside: its public address, somebody who sees it from there, the identity server, the mail.

use gatehouse_federation::{Federation, Finding};
use gatehouse_mail::SmtpCarrier;
use gatehouse_outbound::{OutboundError, OutboundRequest};

use crate::{
    StartError,
    config::Config,
    identity_service,
    outside::{authority, door, smtp},
};

const PUBLIC: &str = "public address";
const IDENTITY: &str = "identity server";
const MAIL: &str = "mail";

/// Looks at all of it.
pub(super) async fn examine(
    config: &Config,
    federation: &Federation,
    findings: &mut Vec<Finding>,
) -> Result<(), StartError> {
    findings.push(public_address(config).await?);
    findings.extend(federation.examine_from_outside().await);
    findings.push(identity_server(config).await?);
    findings.push(mail(config).await?);
    Ok(())
}

/// Whether clients are answered where they are told to go.
async fn public_address(config: &Config) -> Result<Finding, StartError> {
    let base = config.baseurl();
    let url = format!("{}/_matrix/client/versions", base.trim_end_matches('/'));
    let advice = "Correct `public_baseurl`, the name's address record, or the proxy that stands there.";
    Ok(match get(config, &url).await? {
        Ok(200) => Finding::good(PUBLIC, format!("GET {url}"), "The server answers."),
        Ok(status) => Finding::fault(PUBLIC, format!("GET {url}"), format!("Status {status}."), advice),
        Err(error) => Finding::fault(
            PUBLIC,
            format!("GET {url}"),
            format!("No answer: {error}."),
            advice,
        ),
    })
}

/// Whether the identity server answers that clients are told of.
async fn identity_server(config: &Config) -> Result<Finding, StartError> {
    let Some(base) = identity_service::told_to_clients(config) else {
        let came = "Clients are told of none: people are not found, or invited, by their addresses.";
        let advice =
            "Set `[identity_service] enabled = true`, or `[identity_servers] default`, if they should be.";
        return Ok(Finding::note(IDENTITY, "the settings", came, advice));
    };
    let url = format!("{}/_matrix/identity/v2", base.trim_end_matches('/'));
    let advice = "See that it runs and is reached at this address: `[identity_service] public_baseurl`, or \
                  `[identity_servers] default`.";
    Ok(match get(config, &url).await? {
        Ok(200) => Finding::good(IDENTITY, format!("GET {url}"), "It answers."),
        Ok(status) => Finding::fault(
            IDENTITY,
            format!("GET {url}"),
            format!("Status {status}."),
            advice,
        ),
        Err(error) => Finding::fault(
            IDENTITY,
            format!("GET {url}"),
            format!("No answer: {error}."),
            advice,
        ),
    })
}

/// The status at an address that the operator named.
async fn get(config: &Config, url: &str) -> Result<Result<u16, OutboundError>, StartError> {
    let exempt = authority(url).map(ToOwned::to_owned).into_iter().collect();
    let outbound = door(config, exempt)?;
    let answer = outbound.send(OutboundRequest::get(url).allow_http()).await;
    Ok(answer.map(|answer| answer.status))
}

/// Whether mail could be sent. None is.
async fn mail(config: &Config) -> Result<Finding, StartError> {
    let Some(settings) = smtp(&config.email)? else {
        let came = "No mail server is set up: no address can be proven, and nobody invited by mail.";
        let advice = "Set `[email] smtp_host` and `from`, if that is wanted.";
        return Ok(Finding::note(MAIL, "the settings", came, advice));
    };
    let carrier = SmtpCarrier::new(&settings)?;
    let tried = format!("a conversation with {}, without a mail", carrier.place());
    Ok(match carrier.check().await {
        Ok(()) => Finding::good(MAIL, tried, "It would take mail."),
        Err(error) => {
            let advice = "Correct `[email]`: smtp_host, smtp_port, smtp_tls, and the login.";
            Finding::fault(MAIL, tried, format!("It would not take mail: {error}."), advice)
        }
    })
}
