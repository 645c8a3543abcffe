//! Typed tables.

use std::marker::PhantomData;

/// A table with key `K` and value `V`. A constant in its owner's `tables.rs`, with one line on what a row means.
#[derive(Debug)]
pub struct Table<K, V> {
    /// Unique in the whole server, `owner.what`, at most 40 bytes of `[a-z_.]`; stored, so never renamed.
    pub name: &'static str,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Table<K, V> {
    /// Declares it.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            types: PhantomData,
        }
    }
}
