//! The administration API: the part of Synapse's that the ecosystem's tools speak.
//!
//! Every handler but those of registration by shared secret takes an `Administrator`, and is closed to others by
//! that. It decides nothing itself: engines do.
//!
//! Read in this order: [`state`], [`router`], then the page that you look for.

mod administrator;
mod federation;
mod federation_metrics;
mod health;
mod metrics;
mod registration_tokens;
mod room_metrics;
mod router;
mod server_version;
mod shared_secret_register;
mod state;
mod tables;
mod user_devices;
mod user_rooms;
mod users;

pub use self::{
    federation_metrics::register_federation, health::health_router, metrics::metrics_router,
    room_metrics::register_rooms, router::router, state::AdminApi,
};
