//! Room aliases and the published room directory.
//!
//! It knows the aliases that this server has given out, who made them, and which rooms are published. It does not
//! know rooms: what a room is called and who may do what in it, it asks `gatehouse_rooms`.
//!
//! Read in this order: [`alias_grammar`], `tables`, [`public_list`].

pub mod alias_grammar;
pub mod public_list;
mod tables;

pub use self::{
    alias_grammar::{InvalidAlias, local_alias, parse_alias},
    public_list::{InvalidSince, PublicRoomsPage, PublicRoomsQuery, PublishedRoom},
};
