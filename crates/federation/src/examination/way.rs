//! The way to where the server is: SRV records, addresses, TLS.

use gatehouse_outbound::{
    Connection, Inspection, Lookup, NoConnection, OutboundError, SrvAnswer, Trail, WrongCertificate,
};
use http::Method;

use crate::{
    Federation,
    discovery::Location,
    examination::{Finding, date, shown},
};

const RECORDS: &str = "SRV";
const ADDRESSES: &str = "addresses";
const TLS: &str = "TLS";

/// A certificate that ends sooner is worth a word: whoever renews them should have done so.
const SOON_S: u64 = 7 * 24 * 3_600;

/// Whether anything came of connecting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connected {
    Somewhere,
    Nowhere,
}

impl Federation {
    /// Connects to each address without asking for anything.
    pub(super) async fn examine_way(&self, location: &Location, findings: &mut Vec<Finding>) -> Connected {
        let Some(outbound) = self.outbound() else {
            return Connected::Nowhere;
        };
        let request = location.request(Method::GET, "/_matrix/key/v2/server");
        let inspection = outbound.inspect(&request).await;
        findings.extend(records(&inspection.trail));
        findings.extend(addresses(location, &inspection));
        let connections = inspection.connections.unwrap_or_default();
        let works = connections.iter().any(|connection| connection.outcome.is_ok());
        let now_s = self.now_ms() / 1_000;
        findings.extend(
            connections
                .iter()
                .map(|connection| tls(location, connection, works, now_s)),
        );
        if works {
            Connected::Somewhere
        } else {
            Connected::Nowhere
        }
    }
}

fn records(trail: &Trail) -> Vec<Finding> {
    let found = |record: &gatehouse_outbound::Record| {
        let tried = format!("the SRV records of {}", record.name);
        match &record.answer {
            SrvAnswer::Nothing => Finding::good(RECORDS, tried, "There are none, and none are needed."),
            SrvAnswer::Failed => Finding::note(
                RECORDS,
                tried,
                "The name servers do not answer; it counts as if there were none.",
                "If there should be records, look after the domain's name servers, and this machine's.",
            ),
            SrvAnswer::NoService => Finding::fault(
                RECORDS,
                tried,
                "A record with the target `.`: it says that there is no homeserver.",
                "Remove the record, or let it name the host and the port of the server.",
            ),
            SrvAnswer::Targets(targets) => {
                let targets: Vec<String> = targets
                    .iter()
                    .map(|(target, port)| format!("{}:{port}", shown(target)))
                    .collect();
                let came = format!("The server is at {}.", targets.join(", "));
                if record.name.starts_with("_matrix._tcp.") {
                    let advice =
                        "This kind of record is deprecated; add one for `_matrix-fed._tcp` beside it.";
                    Finding::note(RECORDS, tried, came, advice)
                } else {
                    Finding::good(RECORDS, tried, came)
                }
            }
        }
    };
    trail.records.iter().map(found).collect()
}

fn addresses(location: &Location, inspection: &Inspection) -> Vec<Finding> {
    let mut findings: Vec<Finding> = inspection.trail.lookups.iter().map(lookup).collect();
    if findings.is_empty()
        && let Err(error) = &inspection.connections
    {
        let advice = match error {
            OutboundError::Denied => {
                "Other servers do not connect to private addresses. If this one shall, see `[federation] deny_ip_ranges`."
            }
            _ => "Look at the steps before.",
        };
        let came = format!("Nothing can be connected to: {error}.");
        findings.push(Finding::fault(ADDRESSES, location.place(), came, advice));
    }
    findings
}

fn lookup(lookup: &Lookup) -> Finding {
    let tried = format!("the addresses of {}", shown(&lookup.name));
    let list = |addresses: &[std::net::SocketAddr]| {
        let shown: Vec<String> = addresses.iter().map(|it| it.ip().to_string()).collect();
        shown.join(", ")
    };
    if lookup.addresses.is_empty() {
        let advice =
            "Add an A or AAAA record for this name, or correct the file or the SRV record that leads there.";
        return Finding::fault(ADDRESSES, tried, "It has none.", advice);
    }
    if lookup.denied.is_empty() {
        return Finding::good(ADDRESSES, tried, format!("{}.", list(&lookup.addresses)));
    }
    let came = format!(
        "{}. Servers do not connect to {}.",
        list(&lookup.addresses),
        list(&lookup.denied)
    );
    let advice = "Let the name lead to public addresses only. For a private network of servers, see `[federation] \
                  deny_ip_ranges`.";
    Finding::fault(ADDRESSES, tried, came, advice)
}

fn tls(location: &Location, connection: &Connection, works_elsewhere: bool, now_s: u64) -> Finding {
    let host = location.host_name();
    let tried = format!("TLS with {host} at {}", connection.address);
    let (came, advice) = match &connection.outcome {
        Ok(Some(until)) if *until < now_s + SOON_S => {
            let came = format!("It works, but the certificate ends on {}.", date(*until));
            return Finding::note(
                TLS,
                tried,
                came,
                "Renew the certificate, and see that it is renewed by itself.",
            );
        }
        Ok(Some(until)) => {
            let came = format!("The certificate is for {host} and good until {}.", date(*until));
            return Finding::good(TLS, tried, came);
        }
        Ok(None) => return Finding::good(TLS, tried, "The certificate is good."),
        Err(fault) => words(fault, host),
    };
    if works_elsewhere {
        // Whoever tries this address first loses time, and no more.
        Finding::note(TLS, tried, came, advice)
    } else {
        Finding::fault(TLS, tried, came, advice)
    }
}

/// What a fault is in plain words, and what to do.
fn words(fault: &NoConnection, host: &str) -> (String, String) {
    let (came, advice) = match fault {
        NoConnection::Refused => (
            "Nothing listens there.",
            "Start the server or the proxy, and see that it listens at this address and port.",
        ),
        NoConnection::TimedOut => (
            "No answer in time.",
            "A firewall may stand between; open this port for everybody, and check the address.",
        ),
        NoConnection::Unreachable => (
            "It cannot be reached from here.",
            "Check the address; without IPv6 of one's own, addresses of that kind cannot be tried.",
        ),
        NoConnection::NoTls => (
            "What listens there does not speak TLS, or broke off.",
            "Set `tls_cert` and `tls_key` of the listener, or let a proxy speak TLS at this port.",
        ),
        NoConnection::Certificate(wrong) => return certificate(wrong, host),
    };
    (came.to_owned(), advice.to_owned())
}

fn certificate(wrong: &WrongCertificate, host: &str) -> (String, String) {
    match wrong {
        WrongCertificate::Expired(until) => (
            format!("The certificate was good until {}.", date(*until)),
            "Renew the certificate, and see that it is renewed by itself.".to_owned(),
        ),
        WrongCertificate::NotYetValid(from) => (
            format!("The certificate will be good from {} on.", date(*from)),
            "Set the clock right, here or where the certificate was made.".to_owned(),
        ),
        WrongCertificate::OtherNames(names) => {
            let names: Vec<String> = names.iter().map(|name| shown(name)).collect();
            (
                format!("The certificate is for other names: {}.", shown(&names.join(", "))),
                format!("Get a certificate for {host}. That a record or a file leads elsewhere does not change the name."),
            )
        }
        WrongCertificate::UnknownIssuer => (
            "The certificate is signed by nobody that is known here.".to_owned(),
            "Serve the whole chain (`fullchain.pem`), from an authority that systems know. For one of your own, see \
             `[federation] extra_ca_files`."
                .to_owned(),
        ),
        WrongCertificate::Other(words) => (
            format!("The certificate is not good: {}.", shown(words)),
            format!("Get another certificate for {host}."),
        ),
    }
}
