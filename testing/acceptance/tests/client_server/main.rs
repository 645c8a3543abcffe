//! The client-server API, by page of the specification. One binary, so that it links once.

#[cfg(test)]
mod account_data;
#[cfg(test)]
mod account_deactivation;
#[cfg(test)]
mod account_moderation;
#[cfg(test)]
mod addresses;
#[cfg(test)]
mod administrative_contact;
#[cfg(test)]
mod banning;
#[cfg(test)]
mod capabilities;
#[cfg(test)]
mod create_room;
#[cfg(test)]
mod device_management;
#[cfg(test)]
mod directory;
#[cfg(test)]
mod event_context;
#[cfg(test)]
mod filter;
#[cfg(test)]
mod guest_access;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod hostile_identity_server;
#[cfg(test)]
mod invitation_page;
#[cfg(test)]
mod invitation_sign_in;
#[cfg(test)]
mod inviting;
#[cfg(test)]
mod joining;
#[cfg(test)]
mod kicking;
#[cfg(test)]
mod knocking;
#[cfg(test)]
mod leaving;
#[cfg(test)]
mod legacy_v1;
#[cfg(test)]
mod list_public_rooms;
#[cfg(test)]
mod login;
#[cfg(test)]
mod logout;
#[cfg(test)]
mod mail;
#[cfg(test)]
mod mail_outages;
#[cfg(test)]
mod message_pagination;
#[cfg(test)]
mod openid;
#[cfg(test)]
mod pages_from_mails;
#[cfg(test)]
mod password_management;
#[cfg(test)]
mod private_addresses;
#[cfg(test)]
mod profile;
#[cfg(test)]
mod pushers;
#[cfg(test)]
mod recaptcha;
#[cfg(test)]
mod redaction;
#[cfg(test)]
mod refresh;
#[cfg(test)]
mod register;
#[cfg(test)]
mod relations;
#[cfg(test)]
mod report_content;
#[cfg(test)]
mod room_event_by_timestamp;
#[cfg(test)]
mod room_send;
#[cfg(test)]
mod room_state;
#[cfg(test)]
mod room_summary;
#[cfg(test)]
mod room_upgrades;
#[cfg(test)]
mod rooms;
#[cfg(test)]
mod shared_secret;
#[cfg(test)]
mod snapshot;
#[cfg(test)]
mod space_hierarchy;
#[cfg(test)]
mod sync;
#[cfg(test)]
mod tags;
#[cfg(test)]
mod third_party_abuse;
#[cfg(test)]
mod third_party_limits;
#[cfg(test)]
mod third_party_membership;
#[cfg(test)]
mod uia;
#[cfg(test)]
mod versions;
#[cfg(test)]
mod wellknown;
#[cfg(test)]
mod whoami;
