//! What is counted of rooms, for Prometheus.

use std::fmt;

use gatehouse_http::Metrics;
use gatehouse_rooms::Rooms;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};

/// Adds the metrics of rooms.
pub fn register_rooms(metrics: &Metrics, rooms: Rooms) {
    metrics.register(|registry| registry.register_collector(Box::new(Filling(rooms))));
}

/// Asked when somebody looks.
#[derive(Debug)]
struct Filling(Rooms);

impl Collector for Filling {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let encoder = encoder.encode_descriptor(
            "rooms_being_filled",
            "Rooms that were joined and whose members this node is fetching",
            None,
            MetricType::Gauge,
        )?;
        let count = self.0.rooms_being_filled();
        ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX)).encode(encoder)
    }
}
