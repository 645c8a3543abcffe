//! Room aliases and the published room directory.
//!
//! It knows the aliases that this server has given out, who made them, and which rooms are published. It does not
//! know rooms: what a room is called and who may do what in it, it asks `gatehouse_rooms`.
//!
//! Read in this order: `tables`, [`alias_grammar`], `directory`, [`aliases`], [`canonical_alias`], [`publication`],
//! [`public_list`], `published_rooms`, [`remote_directories`].

pub mod alias_grammar;
pub mod aliases;
pub mod canonical_alias;
mod config;
mod directory;
#[cfg(test)]
mod engine_tests;
mod error;
pub mod public_list;
pub mod publication;
mod published_rooms;
pub mod remote_directories;
#[cfg(test)]
mod slow_reads;
mod tables;

pub use self::{
    alias_grammar::{InvalidAlias, local_alias, parse_alias},
    aliases::Actor,
    config::Config,
    directory::Directory,
    error::{AliasError, CanonicalAliasError, PublicationError},
    public_list::{InvalidSince, PublicRoomsPage, PublicRoomsQuery, PublishedRoom},
    publication::RoomVisibility,
    remote_directories::{NoRemoteDirectories, RemoteDirectories, ResolvedAlias},
    tables::ALIASES_TABLE,
};
