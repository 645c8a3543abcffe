//! What tests share: throw-away servers and people who use them.
//!
//! A [`TestServer`] is a whole server in this process, on a free port, over a store of its own: the embedded one, or
//! what `GATEHOUSE_TEST_STORE` names. A [`User`] speaks to it over HTTP as any client does. Nothing is mocked; tests
//! see only what a client sees. The clock is the server's own and stands until a test moves it.
//!
//! Several servers that know each other are [`Neighbours`].
//!
//! Read in this order: [`server`], [`user`], [`answer`], [`neighbours`].

pub mod answer;
pub mod http;
pub mod neighbours;
pub mod server;
pub mod user;

pub use gatehouse_server::config::{RateConfig, RateLimits};

pub use self::{
    answer::Answer,
    neighbours::Neighbours,
    server::{TestServer, configured, rate, started},
    user::User,
};
