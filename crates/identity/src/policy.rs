//! A policy that the operator wants users to agree to.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// A policy, in all its languages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What it is, such as `privacy_policy`.
    pub id: String,
    /// Whoever agreed to another version has to agree again.
    pub version: String,
    /// By language, such as `en`. Agreeing to one is agreeing to all.
    pub languages: BTreeMap<String, PolicyText>,
}

/// A policy in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyText {
    /// What people read.
    pub name: String,
    /// Where it stands. Best with the version in it: clients remember what was agreed to by this alone.
    pub url: String,
}

impl Policy {
    pub(crate) fn stands_at(&self, url: &str) -> bool {
        self.languages.values().any(|text| text.url == url)
    }

    pub(crate) fn describe(&self) -> Value {
        let mut policy: Map<_, _> = self
            .languages
            .iter()
            .map(|(language, text)| (language.clone(), json!({ "name": text.name, "url": text.url })))
            .collect();
        policy.insert("version".to_owned(), json!(self.version));
        Value::Object(policy)
    }
}
