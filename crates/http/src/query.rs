//! Query strings.

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::ApiError;

/// The query as `T`. Repeated parameters are for [`query_values`].
#[derive(Debug, Clone)]
pub struct Query<T>(pub T);

impl<T> std::ops::Deref for Query<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        axum::extract::Query::<T>::try_from_uri(&parts.uri)
            .map(|query| Self(query.0))
            .map_err(|error| {
                let reason = error.body_text();
                match reason
                    .split_once("missing field `")
                    .and_then(|(_, rest)| rest.split_once('`'))
                {
                    Some((field, _)) => {
                        ApiError::missing_param(format!("The query parameter `{field}` is missing."))
                    }
                    None => ApiError::invalid_param(
                        "A query parameter does not have the form that it should have.",
                    ),
                }
            })
    }
}

/// The raw query, for repeated parameters.
#[derive(Debug, Clone, Default)]
pub struct RawQuery(pub String);

impl RawQuery {
    /// Every value of a parameter, decoded, in order.
    pub fn all(&self, name: &str) -> Vec<String> {
        query_values(&self.0, name)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RawQuery {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.uri.query().unwrap_or_default().to_owned()))
    }
}

/// The first value of a parameter, decoded.
pub fn query_value(query: &str, name: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// Every value of a parameter, decoded, in order.
pub fn query_values(query: &str, name: &str) -> Vec<String> {
    form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .collect()
}
