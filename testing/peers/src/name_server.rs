//! A name server that knows the SRV records that a test tells it, and says of all else that it is not there.

use std::{collections::HashMap, net::SocketAddr, str::FromStr as _, sync::Arc};

use anyhow::Result;
use hickory_resolver::proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{Name, RData, Record, rdata::SRV},
    serialize::binary::{BinDecodable as _, BinEncodable as _},
};
use parking_lot::Mutex;
use tokio::{net::UdpSocket, task::AbortHandle};

/// How long its answers are good, in seconds.
const TTL: u32 = 60;

#[derive(Default)]
struct Known {
    records: HashMap<String, Vec<RData>>,
    asked: Vec<String>,
}

/// A name server on loopback. It stops when dropped.
pub struct NameServer {
    address: SocketAddr,
    known: Arc<Mutex<Known>>,
    listening: AbortHandle,
}

impl NameServer {
    /// One that knows nothing yet.
    pub async fn start() -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let address = socket.local_addr()?;
        let known = Arc::new(Mutex::new(Known::default()));
        let shared = Arc::clone(&known);
        let task = tokio::spawn(async move {
            let mut buffer = [0; 4_096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let question = buffer.get(..length).unwrap_or_default();
                if let Some(answer) = answer(question, &shared) {
                    _ = socket.send_to(&answer, from).await;
                }
            }
        });
        Ok(Self {
            address,
            known,
            listening: task.abort_handle(),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on there is this SRV record, besides those of the same name. `name` has no dot at its end.
    pub fn srv(&self, name: &str, priority: u16, target: &str, port: u16) -> Result<()> {
        let target = Name::from_str(&format!("{}.", target.trim_end_matches('.')))?;
        let record = RData::SRV(SRV::new(priority, 1, port, target));
        let mut known = self.known.lock();
        known.records.entry(name.to_owned()).or_default().push(record);
        Ok(())
    }

    /// The names that it was asked for.
    pub fn asked(&self) -> Vec<String> {
        self.known.lock().asked.clone()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

fn answer(question: &[u8], known: &Mutex<Known>) -> Option<Vec<u8>> {
    let question = Message::from_bytes(question).ok()?;
    let query = question.queries.first()?.clone();
    let mut answer = Message::response(question.metadata.id, OpCode::Query);
    let name = query.name().to_ascii().to_lowercase();
    let name = name.trim_end_matches('.').to_owned();
    let mut known = known.lock();
    match known.records.get(&name) {
        Some(records) => {
            let records = records.iter().cloned();
            answer.add_answers(records.map(|data| Record::from_rdata(query.name().clone(), TTL, data)));
        }
        None => answer.metadata.response_code = ResponseCode::NXDomain,
    }
    known.asked.push(name);
    answer.add_query(query);
    answer.to_bytes().ok()
}
