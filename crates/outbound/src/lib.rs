//! The one door for every HTTP request that the server makes: to identity servers, other homeservers, application
//! services, push gateways, whatever comes.
//!
//! Where a request goes is often for strangers to say. So the door decides by the address that is *connected to*
//! whether it may be (security.md I01, I02), follows no redirect unless told otherwise, speaks TLS unless told
//! otherwise, and bounds time and size. Hosts that offer a service are found by its SRV records. It knows nothing of Matrix:
//! what an answer means is for its callers.
//!
//! Read in this order: [`policy`] (which addresses), [`request`], [`outbound`] (sending), `resolver` and [`srv_resolver`] (from
//! names to addresses), [`trail`], [`stream`], [`answer`], [`carrier`] (no sockets at all, for simulations); then
//! [`inspection`], for those who look for a fault on the way.

pub mod answer;
pub mod carrier;
pub mod error;
pub mod inspection;
pub mod outbound;
pub mod policy;
pub mod request;
mod resolver;
mod srv;
pub mod srv_resolver;
pub mod stream;
mod tls;
pub mod trail;

/// The words that requests are made of.
pub use http;

pub use self::{
    answer::OutboundAnswer,
    carrier::{Carried, Carrier},
    error::{OutboundError, OutboundSetupError},
    inspection::{Connection, Inspection, NoConnection, WrongCertificate},
    outbound::{Outbound, OutboundConfig},
    request::OutboundRequest,
    srv_resolver::Service,
    stream::OutboundStream,
    trail::{Lookup, Record, SrvAnswer, Trail},
};
