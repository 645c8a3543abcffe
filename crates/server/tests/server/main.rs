//! The composition root from outside.

#[cfg(test)]
mod configuration;
