//! The composition root from outside.

#[cfg(test)]
mod configuration;
#[cfg(test)]
mod nodes;
