//! Parameters that several pages have: direction, tokens, limits, filters.

use gatehouse_http::{ApiError, Requester};
use gatehouse_rooms::{filter::RoomEventFilter, present::Viewer, token::Token};
use gatehouse_store::Direction;
use serde::Deserialize;

use crate::errors;

/// `dir`.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) enum Dir {
    /// Back in time.
    #[serde(rename = "b")]
    Backward,
    /// Forward in time.
    #[serde(rename = "f")]
    Forward,
}

impl From<Dir> for Direction {
    fn from(dir: Dir) -> Self {
        match dir {
            Dir::Backward => Self::Backward,
            Dir::Forward => Self::Forward,
        }
    }
}

/// A token parameter; an empty one is as good as none.
pub(crate) fn token(text: Option<&str>) -> Result<Option<Token>, ApiError> {
    text.filter(|text| !text.is_empty())
        .map(str::parse)
        .transpose()
        .map_err(|error: gatehouse_rooms::token::InvalidToken| ApiError::invalid_param(error.to_string()))
}

/// A limit; the engines bound it.
pub(crate) fn limit(limit: Option<u64>) -> Option<usize> {
    limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// A `filter` parameter.
pub(crate) fn filter(text: Option<&str>) -> Result<RoomEventFilter, ApiError> {
    match text.filter(|text| !text.is_empty()) {
        Some(text) => RoomEventFilter::parse(text).map_err(|error| errors::filter(&error)),
        None => Ok(RoomEventFilter::default()),
    }
}

/// For whom events are shown.
pub(crate) fn viewer(requester: &Requester) -> Viewer<'_> {
    Viewer {
        user: &requester.user_id,
        device: Some(&requester.device_id),
    }
}
