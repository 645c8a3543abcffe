//! What every API has from its listener: hostile requests, CORS, transports, rate limits. One binary, so that it
//! links once.

#[cfg(test)]
mod bodies;
#[cfg(test)]
mod cors;
#[cfg(test)]
mod forwarded_for;
#[cfg(test)]
mod heads;
#[cfg(test)]
mod nonsense;
#[cfg(test)]
mod paths;
#[cfg(test)]
mod rate_limits;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod transports;
