//! `GET /metrics`, for Prometheus.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{HeaderName, header},
    routing::get,
};
use gatehouse_http::Metrics;

/// `/metrics`
pub fn metrics_router(metrics: Arc<Metrics>) -> Router {
    Router::new().route("/metrics", get(render)).with_state(metrics)
}

/// `GET /metrics`
async fn render(State(metrics): State<Arc<Metrics>>) -> ([(HeaderName, &'static str); 1], String) {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], metrics.render())
}
