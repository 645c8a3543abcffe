//! One transaction: what is in it, and what the other server says of it.

use std::{collections::HashMap, time::Duration};

use gatehouse_rooms::OutgoingPdu;
use http::Method;
use ruma::ServerName;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    Federation, FederationError,
    path::path,
    signed::{Bounds, SignedRequest, read},
};

/// Events in one transaction (server-server API, "Transactions").
pub(super) const MAX_PDUS: usize = 50;

/// How long a server that took the last transaction may need, and any other.
const PROVEN: Bounds = Bounds {
    timeout: Duration::from_mins(1),
    idle: Duration::from_secs(30),
    max_bytes: 1 << 20,
};
const UNPROVEN: Bounds = Bounds {
    timeout: Duration::from_secs(30),
    idle: Duration::from_secs(20),
    max_bytes: 1 << 20,
};

impl Federation {
    /// Sends a transaction.
    pub(super) async fn send_transaction(
        &self,
        server: &ServerName,
        id: &str,
        pdus: &[OutgoingPdu],
        is_proven: bool,
    ) -> Result<(), FederationError> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Answer {
            pdus: HashMap<String, Outcome>,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Outcome {
            error: Option<String>,
        }
        let bounds = if is_proven { PROVEN } else { UNPROVEN };
        let body = body(self.server_name(), self.now_ms(), pdus);
        let path = path("v1", &["send", id]);
        let request = SignedRequest::with_body(Method::PUT, server, path, body, bounds);
        let answer = self.signed_at_once(request).await?;
        // What it says of single events is for the log; whatever it says, it has them.
        let answer: Answer = read(answer.body).await.unwrap_or_default();
        for (event_id, outcome) in answer.pdus.iter().take(MAX_PDUS) {
            if let Some(error) = &outcome.error {
                tracing::info!(%server, event_id, said = ?shortened(error), "the other server did not take an event");
            }
        }
        Ok(())
    }
}

/// Canonical JSON: the PDUs are, and the keys are in their order.
fn body(origin: &ServerName, now_ms: u64, pdus: &[OutgoingPdu]) -> String {
    let length: usize = pdus.iter().map(|pdu| pdu.json.len() + 1).sum();
    let mut body = String::with_capacity(length + 128);
    body.push_str("{\"edus\":[],\"origin\":");
    body.push_str(&Value::from(origin.as_str()).to_string());
    body.push_str(",\"origin_server_ts\":");
    body.push_str(&now_ms.to_string());
    body.push_str(",\"pdus\":[");
    for (index, pdu) in pdus.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        body.push_str(&pdu.json);
    }
    body.push_str("]}");
    body
}

fn shortened(words: &str) -> String {
    words.chars().take(200).collect()
}

/// Whether the server refuses what is in the transaction, and would do so for ever. It does not for what lies between the
/// servers: a broken proxy answers 400 too, but no errcode of Matrix.
pub(super) fn is_poisoned(error: &FederationError) -> bool {
    let FederationError::Refused(refusal) = error else {
        return false;
    };
    let words = [
        "M_BAD_JSON",
        "M_NOT_JSON",
        "M_INVALID_PARAM",
        "M_TOO_LARGE",
        "M_MISSING_PARAM",
    ];
    refusal.status == 413 || (refusal.status == 400 && words.contains(&refusal.errcode.as_str()))
}
