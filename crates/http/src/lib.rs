//! Listeners, TLS, limits and the extractors that every API uses.
