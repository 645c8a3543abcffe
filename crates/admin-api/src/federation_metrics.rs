//! What is counted of sending to other servers and of what they send, for Prometheus.

use std::fmt;

use gatehouse_federation::{Federation, ReceivedCounts, SendingCounts};
use gatehouse_http::Metrics;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

/// Adds the metrics of federation.
pub fn register_federation(metrics: &Metrics, federation: Federation) {
    metrics.register(|registry| registry.register_collector(Box::new(Sending(federation))));
}

/// Asked when somebody looks.
#[derive(Debug)]
struct Sending(Federation);

impl Collector for Sending {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let counts = self.0.sending_counts();
        for (name, help, value) in counters(&counts, &self.0.received_counts()) {
            let encoder = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value).encode(encoder)?;
        }
        for (name, help, value) in [
            (
                "federation_destinations_waiting",
                "Servers that something waits for",
                counts.waiting,
            ),
            (
                "federation_destinations_failing",
                "Servers that failed last",
                counts.failing,
            ),
        ] {
            let encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(encoder)?;
        }
        Ok(())
    }
}

/// What is only ever added to: name, help, value.
fn counters(counts: &SendingCounts, received: &ReceivedCounts) -> [(&'static str, &'static str, u64); 11] {
    [
        (
            "federation_transactions_sent",
            "Transactions that other servers took",
            counts.transactions,
        ),
        (
            "federation_transactions_failed",
            "Transactions that they did not take",
            counts.failures,
        ),
        (
            "federation_events_sent",
            "Events in transactions that were taken",
            counts.events,
        ),
        (
            "federation_events_dropped",
            "Events that a server never takes",
            counts.dropped,
        ),
        (
            "federation_events_given_up",
            "Events that waited for servers which were away for 30 days",
            counts.given_up,
        ),
        (
            "federation_events_accepted",
            "Events of other servers that became part of their rooms",
            received.accepted,
        ),
        (
            "federation_events_known",
            "Events of other servers that were here already",
            received.known,
        ),
        (
            "federation_events_soft_failed",
            "Events of other servers that are kept and shown to nobody",
            received.soft_failed,
        ),
        (
            "federation_events_rejected",
            "Events of other servers that the rules of their rooms do not allow",
            received.rejected,
        ),
        (
            "federation_events_refused",
            "Events of other servers of which nothing was kept",
            received.dropped,
        ),
        (
            "federation_transactions_slowed",
            "Transactions whose answers waited because their servers flood a room",
            received.slowed,
        ),
    ]
}
