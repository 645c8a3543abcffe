//! History from before a join, which is fetched from others as somebody reads it.
