//! Rooms across servers: two or three Gatehouses that speak to each other over TLS.

#[cfg(test)]
mod destinations;
#[cfg(test)]
mod directory;
#[cfg(test)]
mod inviting;
#[cfg(test)]
mod joining;
#[cfg(test)]
mod knocking;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod moderation;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod restricted;
#[cfg(test)]
mod third_party;
#[cfg(test)]
mod town;
