//! The server-server API, by page of the specification.

#[cfg(test)]
mod floods;
#[cfg(test)]
mod hostile_answers;
#[cfg(test)]
mod hostile_history;
#[cfg(test)]
mod hostile_senders;
#[cfg(test)]
mod invites;
#[cfg(test)]
mod joins;
#[cfg(test)]
mod keys_query;
#[cfg(test)]
mod keys_server;
#[cfg(test)]
mod openid;
#[cfg(test)]
mod public_rooms;
#[cfg(test)]
mod query;
#[cfg(test)]
mod reads;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod server_acl;
#[cfg(test)]
mod space_hierarchy;
#[cfg(test)]
mod third_party_invite;
#[cfg(test)]
mod transactions;
#[cfg(test)]
mod visitor;
