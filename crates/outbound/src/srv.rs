//! SRV records (RFC 2782), which the system's resolver cannot be asked for.

use std::{net::SocketAddr, time::Duration};

use hickory_resolver::{
    TokioResolver,
    config::{NameServerConfig, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
    proto::rr::{RData, rdata::SRV},
};

use crate::{OutboundSetupError, trail::SrvAnswer};

/// How long one question may take; then it is as if there were no record. A host whose DNS is broken is still tried at
/// the service's own port.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Targets that are tried.
const MAX_TARGETS: usize = 8;

/// Answers remembered, for as long as they say.
const REMEMBERED: u64 = 4_096;

/// Whom to ask.
pub(crate) struct SrvRecords {
    /// `None`: the system does not say whom.
    resolver: Option<TokioResolver>,
}

impl SrvRecords {
    /// Of these name servers, or, when there are none, of the system's.
    pub(crate) fn asking(name_servers: &[SocketAddr]) -> Result<Self, OutboundSetupError> {
        let builder = if name_servers.is_empty() {
            TokioResolver::builder_tokio()
        } else {
            let servers = name_servers.iter().map(name_server).collect();
            Ok(TokioResolver::builder_with_config(
                ResolverConfig::from_name_servers(servers),
                TokioRuntimeProvider::default(),
            ))
        };
        let mut builder = match builder {
            Ok(builder) => builder,
            Err(error) => {
                tracing::warn!(%error, "the system does not say which name servers to ask for SRV records, so none is");
                return Ok(Self { resolver: None });
            }
        };
        builder.options_mut().cache_size = REMEMBERED;
        let resolver = builder
            .build()
            .map_err(|error| OutboundSetupError::Dns(error.to_string()))?;
        Ok(Self {
            resolver: Some(resolver),
        })
    }

    /// The records of a name, which ends in a dot so that no search list is applied.
    pub(crate) async fn of(&self, name: &str) -> SrvAnswer {
        let Some(resolver) = &self.resolver else {
            return SrvAnswer::Failed;
        };
        let answer = tokio::time::timeout(TIMEOUT, resolver.srv_lookup(name)).await;
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                if error.is_no_records_found() {
                    return SrvAnswer::Nothing;
                }
                tracing::debug!(name, %error, "SRV records cannot be had");
                return SrvAnswer::Failed;
            }
            Err(_) => {
                tracing::debug!(name, "SRV records cannot be had in time");
                return SrvAnswer::Failed;
            }
        };
        let records = answer.answers().iter().filter_map(|record| match &record.data {
            RData::SRV(srv) => Some(srv.clone()),
            _ => None,
        });
        ordered(records.collect())
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

/// By priority, and among equals by lot as their weights say.
fn ordered(mut records: Vec<SRV>) -> SrvAnswer {
    if let [only] = records.as_slice()
        && only.target.is_root()
    {
        return SrvAnswer::NoService;
    }
    records.retain(|record| !record.target.is_root());
    if records.is_empty() {
        return SrvAnswer::Nothing;
    }
    // With exponential lots of rates proportional to the weights the smallest is each record's with the probability
    // that the RFC asks for, and so on among the rest.
    let mut lots: Vec<_> = records
        .into_iter()
        .map(|record| (lot(record.weight), record))
        .collect();
    lots.sort_by(|(a, left), (b, right)| left.priority.cmp(&right.priority).then(a.total_cmp(b)));
    let targets = lots.into_iter().take(MAX_TARGETS).map(|(_, record)| {
        let target = record.target.to_ascii();
        (target.trim_end_matches('.').to_owned(), record.port)
    });
    SrvAnswer::Targets(targets.collect())
}

fn lot(weight: u16) -> f64 {
    let drawn = getrandom::u32().unwrap_or(0);
    let uniform = (f64::from(drawn) + 1.0) / (f64::from(u32::MAX) + 2.0);
    // A weight of 0 means hardly ever, not never.
    -uniform.ln() / (f64::from(weight) + 0.001)
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::Name;

    use super::*;

    fn record(priority: u16, weight: u16, target: &str) -> SRV {
        SRV::new(priority, weight, 1, Name::from_ascii(target).unwrap())
    }

    fn first(records: &[SRV]) -> String {
        match ordered(records.to_vec()) {
            SrvAnswer::Targets(targets) => targets.into_iter().next().unwrap().0,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_smallest_priority_comes_first_whatever_the_weight() {
        let records = [record(20, 60_000, "b.example."), record(10, 0, "a.example.")];
        for _ in 0..100 {
            assert_eq!(first(&records), "a.example");
        }
    }

    #[test]
    fn weights_decide_how_often_among_equals() {
        let records = [record(1, 90, "often.example."), record(1, 10, "seldom.example.")];
        let often = (0..2_000).filter(|_| first(&records) == "often.example").count();
        // 1,800 is to be expected; 1,650 is eleven standard deviations off.
        assert!((1_650..1_950).contains(&often), "{often}");
    }

    #[test]
    fn the_root_as_the_only_target_means_that_there_is_no_service() {
        assert_eq!(ordered(vec![record(0, 0, ".")]), SrvAnswer::NoService);
        assert_eq!(ordered(Vec::new()), SrvAnswer::Nothing);
        let many = vec![record(1, 1, "a.example."); 20];
        assert!(matches!(ordered(many), SrvAnswer::Targets(targets) if targets.len() == MAX_TARGETS));
    }
}
