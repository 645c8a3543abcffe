//! The composition root from outside.

#[cfg(test)]
mod configuration;
#[cfg(test)]
mod identity_nodes;
#[cfg(test)]
mod nodes;
