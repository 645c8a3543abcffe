//! The administration API, health and metrics.
