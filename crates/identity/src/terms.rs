//! Terms of service: what the operator wants every user to agree to first.

use gatehouse_store::Batch;
use ruma::UserId;
use serde_json::{Map, Value};

use crate::{Identity, Unavailable, tables::ACCEPTED_TERMS};

impl Identity {
    /// `GET /terms`: the object `policies`.
    pub fn policies(&self) -> Map<String, Value> {
        let policies = self.config().policies.iter();
        policies
            .map(|policy| (policy.id.clone(), policy.describe()))
            .collect()
    }

    /// `POST /terms`: the user agrees to what stands at these addresses. What is none of ours is passed over.
    pub async fn agree(&self, user_id: &UserId, urls: &[String]) -> Result<(), Unavailable> {
        let mut batch = Batch::new();
        for policy in &self.config().policies {
            if urls.iter().any(|url| policy.stands_at(url)) {
                let key = (user_id.to_owned(), policy.id.clone(), policy.version.clone());
                batch.put(&ACCEPTED_TERMS, &key, &(self.now_ms(),));
            }
        }
        if !batch.is_empty() {
            self.commit(batch).await?;
        }
        Ok(())
    }

    /// Whether the user has agreed to all there is to agree to: if not, nothing else is done for them
    /// (`M_TERMS_NOT_SIGNED`).
    pub async fn has_agreed(&self, user_id: &UserId) -> Result<bool, Unavailable> {
        let policies = &self.config().policies;
        if policies.is_empty() {
            return Ok(true);
        }
        let keys: Vec<_> = policies
            .iter()
            .map(|policy| (user_id.to_owned(), policy.id.clone(), policy.version.clone()))
            .collect();
        let accepted = self.store().get_many(&ACCEPTED_TERMS, &keys).await?;
        Ok(accepted.iter().all(Option::is_some))
    }
}
