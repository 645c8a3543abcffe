//! How this server looks from outside: by asking those whom it trusts with keys for its own.

use gatehouse_events::json::parse_value;
use gatehouse_outbound::OutboundAnswer;
use http::Method;
use ruma::ServerName;
use serde_json::{Value, json};

use crate::{
    Federation, FederationError,
    examination::{Finding, keys},
    key_answer::KeyAnswer,
    own_keys::canonical_object,
    signed::refusal,
};

const OUTSIDE: &str = "seen from outside";

/// Our keys are good for a day. Whoever has to give some that are good for so long has to ask us now.
const FRESH_MS: u64 = 23 * 3_600 * 1_000;

impl Federation {
    /// What trusted key servers see of this server when they ask it, and what time it is there.
    pub async fn examine_from_outside(&self) -> Vec<Finding> {
        let notaries = self.config().trusted_key_servers.iter();
        let mut findings = Vec::new();
        for notary in notaries.filter(|notary| **notary != *self.server_name()) {
            findings.extend(self.ask_outside(notary).await);
        }
        if findings.is_empty() {
            let came = "Nobody was asked: no trusted key server is named in the settings.";
            let advice = format!(
                "Run `gatehouse doctor {}` on another machine, or name a server in `[federation] trusted_key_servers`.",
                self.server_name()
            );
            findings.push(Finding::note(OUTSIDE, "trusted key servers", came, advice));
        }
        findings
    }

    async fn ask_outside(&self, notary: &ServerName) -> Vec<Finding> {
        let tried = format!("{notary}, which was asked to fetch our keys");
        match self.fetch_by(notary).await {
            Ok(answer) => vec![
                self.seen(tried, &answer),
                keys::clock(&answer, self.now_ms() / 1_000),
            ],
            Err(error) => {
                let advice = "Try another one, or run `gatehouse doctor` on another machine.";
                vec![Finding::note(
                    OUTSIDE,
                    tried,
                    format!("It is of no help: {error}."),
                    advice,
                )]
            }
        }
    }

    async fn fetch_by(&self, notary: &ServerName) -> Result<OutboundAnswer, FederationError> {
        let outbound = self.outbound().ok_or(FederationError::Disabled)?;
        let until = self.now_ms().saturating_add(FRESH_MS);
        let key = json!({ self.key().key_id(): { "minimum_valid_until_ts": until } });
        let question = json!({ "server_keys": { self.server_name(): key } });
        let request = self
            .location_of(notary)
            .await?
            .request(Method::POST, "/_matrix/key/v2/query")
            .json(&question);
        let answer = outbound.send(request).await?;
        match answer.status {
            200 => Ok(answer),
            _ => Err(refusal(&answer)),
        }
    }

    /// Whether our key is among the answers, and fresh.
    fn seen(&self, tried: String, answer: &OutboundAnswer) -> Finding {
        let now_ms = self.now_ms();
        let answers = parse_value(&answer.body)
            .ok()
            .and_then(|mut answer| answer.get_mut("server_keys").map(Value::take));
        let Some(Value::Array(answers)) = answers else {
            let advice = "Try another one, or run `gatehouse doctor` on another machine.";
            return Finding::note(OUTSIDE, tried, "It answers something else than keys.", advice);
        };
        let is_ours = |answer: &KeyAnswer| {
            let key = answer.keys.get(&self.key().key_id());
            answer.server == self.server_name()
                && answer.valid_until_ms >= now_ms.saturating_add(FRESH_MS)
                && key.is_some_and(|key| key.key == self.key().public_key_base64())
        };
        let seen = answers.into_iter().any(|answer| {
            canonical_object(answer)
                .and_then(|object| KeyAnswer::read(&object, &[], now_ms))
                .is_some_and(|answer| is_ours(&answer))
        });
        if seen {
            return Finding::good(
                OUTSIDE,
                tried,
                "It fetched them just now: this server is reached from outside.",
            );
        }
        let came =
            "It could not fetch them: this server is not reached from outside, or by somebody else's key.";
        let advice =
            "See that the port is open to everybody: firewall, router, proxy; and what the steps above say.";
        Finding::fault(OUTSIDE, tried, came, advice)
    }
}
