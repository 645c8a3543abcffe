//! The keys that the server publishes, and its clock.

use gatehouse_events::json::parse_value;
use gatehouse_outbound::OutboundAnswer;
use http::{Method, header::DATE};
use ruma::{CanonicalJsonObject, ServerName};

use crate::{
    Federation,
    discovery::Location,
    examination::{Finding, date, shown},
    key_answer::KeyAnswer,
    own_keys::canonical_object,
};

const KEYS: &str = "signing keys";
const CLOCK: &str = "clock";

/// The path at which keys are published.
const PATH: &str = "/_matrix/key/v2/server";

/// How far clocks may be apart: more is worth a word, and much more makes keys and events look wrong.
const NOTED_S: u64 = 30;
const TOLERATED_S: u64 = 5 * 60;

impl Federation {
    /// What the server says of its keys, and by the way what time it is there.
    pub(super) async fn examine_keys(
        &self,
        server: &ServerName,
        location: &Location,
        findings: &mut Vec<Finding>,
    ) {
        let Some(outbound) = self.outbound() else { return };
        let tried = format!("GET {PATH}");
        let answer = match outbound.send(location.request(Method::GET, PATH)).await {
            Ok(answer) => answer,
            Err(error) => {
                let advice = "See that whatever listens there passes everything under /_matrix on.";
                findings.push(Finding::fault(
                    KEYS,
                    tried,
                    format!("No answer: {error}."),
                    advice,
                ));
                return;
            }
        };
        findings.push(self.keys(server, tried, &answer));
        // To itself it is always right.
        if server != self.server_name() {
            findings.push(clock(&answer, self.now_ms() / 1_000));
        }
    }

    fn keys(&self, server: &ServerName, tried: String, answer: &OutboundAnswer) -> Finding {
        if answer.status != 200 {
            let came = format!("Status {} instead of keys.", answer.status);
            let advice =
                "See that a homeserver answers there, and that a proxy passes everything under /_matrix on.";
            return Finding::fault(KEYS, tried, came, advice);
        }
        let Some(object) = parse_value(&answer.body).ok().and_then(canonical_object) else {
            let advice = "See that a homeserver answers there, and not a web page.";
            return Finding::fault(KEYS, tried, "Something that is no JSON.", advice);
        };
        let now_ms = self.now_ms();
        let read = KeyAnswer::read(&object, &self.config().denied_keys, now_ms);
        let Some(read) = read.filter(|read| read.server == server) else {
            let (came, advice) = reason(&object, server);
            return Finding::fault(KEYS, tried, came, advice);
        };
        let until = date(read.valid_until_ms / 1_000);
        if read.valid_until_ms <= now_ms {
            let came = format!("The keys were good until {until} and no longer.");
            let advice =
                "Set the clocks right, on both machines; then see whether something keeps old answers.";
            return Finding::fault(KEYS, tried, came, advice);
        }
        let ids: Vec<&str> = read
            .keys
            .iter()
            .filter(|(_, key)| !key.is_old)
            .map(|(id, _)| id.as_str())
            .collect();
        let ids = shown(&ids.join(", "));
        let is_other = |own: &gatehouse_events::SigningKey| {
            read.keys
                .get(&own.key_id())
                .is_none_or(|key| key.key != own.public_key_base64())
        };
        if server == self.server_name() && is_other(self.key()) {
            let came = format!(
                "Another server's keys, or old ones: {ids}, and not {}.",
                self.key().key_id()
            );
            let advice = "Let the name lead to this server, with the signing key that it has; or restart it.";
            return Finding::fault(KEYS, tried, came, advice);
        }
        Finding::good(
            KEYS,
            tried,
            format!("{ids}, signed as they should be and good until {until}."),
        )
    }
}

/// Why keys are not believed.
fn reason(object: &CanonicalJsonObject, server: &ServerName) -> (String, &'static str) {
    let name = object.get("server_name").and_then(|name| name.as_str());
    match name {
        Some(name) if name != server.as_str() => (
            format!("The keys of another server: {}.", shown(name)),
            "Let the name lead to the right server, or correct `server_name` there.",
        ),
        Some(_) => (
            "Keys that are not signed with themselves, or that everybody knows.".to_owned(),
            "See that nothing on the way changes the answer; then make a new signing key.",
        ),
        None => (
            "JSON that is not what a homeserver says of its keys.".to_owned(),
            "See that a homeserver answers there.",
        ),
    }
}

/// Compares the clocks by when the answer was made.
pub(super) fn clock(answer: &OutboundAnswer, now_s: u64) -> Finding {
    let tried = "the time at which the answer was made";
    let said = answer
        .header(&DATE)
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .and_then(|date| date.duration_since(std::time::UNIX_EPOCH).ok())
        .map(|since| since.as_secs());
    let Some(said) = said else {
        return Finding::note(
            CLOCK,
            tried,
            "The answer does not say it.",
            "Compare the clocks by other means.",
        );
    };
    let apart = said.abs_diff(now_s);
    let came = match apart {
        0..=NOTED_S => return Finding::good(CLOCK, tried, format!("The clocks are {apart} s apart.")),
        _ if said > now_s => format!("The other clock is {apart} s ahead of this one."),
        _ => format!("The other clock is {apart} s behind this one."),
    };
    let advice = "Let both machines set their clocks by the network (NTP): keys and events carry times.";
    if apart <= TOLERATED_S {
        Finding::note(CLOCK, tried, came, advice)
    } else {
        Finding::fault(CLOCK, tried, came, advice)
    }
}
