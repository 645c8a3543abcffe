//! Request bodies: bounded in size, time and depth before they are parsed. The content type does not matter, as
//! clients send all sorts.

use std::time::Duration;

use axum::{body::Body, extract::FromRequest};
use bytes::{Bytes, BytesMut};
use gatehouse_events::json::{JsonInputError, check_shape};
use http::{Request, header};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, value::RawValue};

use crate::ApiError;

/// Login, registration and everything else that is small (limits, "Body sizes in").
pub const SMALL_BODY: usize = 64 << 10;
/// Events: twice what one may have, as its text may be spaced out and escaped.
pub const EVENT_BODY: usize = 128 << 10;
/// Filters.
pub const FILTER_BODY: usize = 256 << 10;
/// Account data, one type.
pub const ACCOUNT_DATA_BODY: usize = 1 << 20;

/// How long a body may take, and one second more for each [`BYTES_A_SECOND`].
const BODY_TIME: Duration = Duration::from_mins(1);
/// A slower client than this is cut off.
const BYTES_A_SECOND: u64 = 64 << 10;

/// A JSON body as `T`, of at most `MAX` bytes.
#[derive(Debug, Clone)]
pub struct JsonBody<T, const MAX: usize = SMALL_BODY>(pub T);

/// A JSON object, of at most `MAX` bytes; an empty body counts as an empty object.
#[derive(Debug, Clone)]
pub struct JsonObject<const MAX: usize = SMALL_BODY>(pub Map<String, Value>);

/// As [`JsonBody`]; an empty body counts as `{}`.
#[derive(Debug, Clone)]
pub struct OptionalJsonBody<T, const MAX: usize = SMALL_BODY>(pub T);

/// JSON text of acceptable depth, not looked at further, of at most `MAX` bytes.
#[derive(Debug, Clone)]
pub struct JsonText<const MAX: usize = EVENT_BODY>(pub Bytes);

/// Text that nobody has looked at, of at most `MAX` bytes.
#[derive(Debug, Clone)]
pub struct Text<const MAX: usize>(pub String);

impl<S: Send + Sync, T: DeserializeOwned, const MAX: usize> FromRequest<S> for JsonBody<T, MAX> {
    type Rejection = ApiError;
    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, ApiError> {
        parse(&read(request, MAX).await?).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned, const MAX: usize> FromRequest<S> for OptionalJsonBody<T, MAX> {
    type Rejection = ApiError;
    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, ApiError> {
        parse(&or_empty_object(read(request, MAX).await?)).map(Self)
    }
}

impl<S: Send + Sync, const MAX: usize> FromRequest<S> for JsonObject<MAX> {
    type Rejection = ApiError;
    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, ApiError> {
        match parse::<Value>(&or_empty_object(read(request, MAX).await?))? {
            Value::Object(object) => Ok(Self(object)),
            _ => Err(ApiError::bad_json("The body must be a JSON object.")),
        }
    }
}

impl<S: Send + Sync, const MAX: usize> FromRequest<S> for JsonText<MAX> {
    type Rejection = ApiError;
    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, ApiError> {
        let bytes = read(request, MAX).await?;
        checked(&bytes)?;
        Ok(Self(bytes))
    }
}

impl<S: Send + Sync, const MAX: usize> FromRequest<S> for Text<MAX> {
    type Rejection = ApiError;
    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, ApiError> {
        let text = String::from_utf8(read(request, MAX).await?.into());
        text.map(Self)
            .map_err(|_| ApiError::not_json("The body is not JSON: it is not valid UTF-8."))
    }
}

/// The error for JSON that is refused.
#[expect(clippy::needless_pass_by_value, reason = "as `map_err` passes it")]
pub fn json_input(error: JsonInputError) -> ApiError {
    let message = error.to_string();
    match error {
        JsonInputError::NotJson => ApiError::not_json(message),
        JsonInputError::TooDeep
        | JsonInputError::NotAnObject
        | JsonInputError::ReservedKey
        | JsonInputError::Number => ApiError::bad_json(message),
    }
}

fn or_empty_object(bytes: Bytes) -> Bytes {
    if bytes.iter().all(|byte| b" \t\r\n".contains(byte)) {
        Bytes::from_static(b"{}")
    } else {
        bytes
    }
}

/// UTF-8 that is not nested too deeply, without the reserved key, and no half of a surrogate pair: what serde does not
/// look at where a field is not wanted, or kept as it came.
fn checked(bytes: &[u8]) -> Result<&str, ApiError> {
    check_shape(bytes).map_err(json_input)?;
    let text = std::str::from_utf8(bytes)
        .map_err(|_| ApiError::not_json("The body is not JSON: it is not valid UTF-8."))?;
    let may_have_surrogates = text.contains("\\ud") || text.contains("\\uD");
    if may_have_surrogates && serde_json::from_str::<Value>(text).is_err() {
        return Err(ApiError::not_json(
            "The body is not JSON, or has an escape that is half a character.",
        ));
    }
    Ok(text)
}

/// Parses JSON of acceptable depth, and tells what is wrong with it.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let text = checked(bytes)?;
    serde_json::from_str(text).map_err(|error| {
        if !error.is_data() || serde_json::from_str::<&RawValue>(text).is_err() {
            return ApiError::not_json("The body is not JSON.");
        }
        let reason = error.to_string();
        match reason
            .strip_prefix("missing field `")
            .and_then(|rest| rest.split_once('`'))
        {
            Some((field, _)) => ApiError::missing_param(format!("The field `{field}` is missing.")),
            None => ApiError::bad_json("A field of the body does not have the type that it should have."),
        }
    })
}

/// Reads the whole body, as far as it may go.
pub(crate) async fn read(request: Request<Body>, max_bytes: usize) -> Result<Bytes, ApiError> {
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > max_bytes as u64) {
        return Err(too_large(max_bytes));
    }
    let time = BODY_TIME + Duration::from_secs(max_bytes as u64 / BYTES_A_SECOND);
    tokio::time::timeout(time, collect(request.into_body(), max_bytes))
        .await
        .unwrap_or_else(|_| Err(ApiError::unknown("The body took too long to arrive. Try again.")))
}

async fn collect(mut body: Body, max_bytes: usize) -> Result<Bytes, ApiError> {
    let mut collected = BytesMut::new();
    let mut first: Option<Bytes> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::unknown("The body broke off. Try again."))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if first.as_ref().map_or(0, Bytes::len) + collected.len() + data.len() > max_bytes {
            return Err(too_large(max_bytes));
        }
        match first.take() {
            // Nearly every body is one frame and needs no copy.
            None if collected.is_empty() => first = Some(data),
            None => collected.extend_from_slice(&data),
            Some(before) => {
                collected.extend_from_slice(&before);
                collected.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| collected.freeze()))
}

fn too_large(max_bytes: usize) -> ApiError {
    ApiError::too_large(format!("The body is too large: {} KiB at most.", max_bytes >> 10))
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use super::*;

    /// A body of these pieces, with a second before each.
    fn slow(pieces: Vec<&'static [u8]>) -> Request<Body> {
        let stream = stream::iter(pieces).then(|piece| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<_, std::convert::Infallible>(Bytes::from_static(piece))
        });
        Request::new(Body::from_stream(stream))
    }

    #[test]
    fn only_what_json_calls_space_is_an_empty_body() {
        assert_eq!(or_empty_object(Bytes::from_static(b" \t\r\n")), "{}");
        assert_eq!(or_empty_object(Bytes::from_static(b"\x0c")), "\x0c");
    }

    #[test]
    fn json_in_a_string_does_not_become_json() {
        let body = br#"{"a":{"$serde_json::private::RawValue":"{}"}}"#;
        assert_eq!(parse::<Value>(body).unwrap_err().errcode(), "M_BAD_JSON");
        assert_eq!(checked(body).unwrap_err().errcode(), "M_BAD_JSON");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_in_is_given_up_after_a_minute() {
        let began = tokio::time::Instant::now();
        let refused = read(slow(vec![b" "; 1_000]), SMALL_BODY).await.unwrap_err();
        assert_eq!(refused.status(), http::StatusCode::BAD_REQUEST);
        assert_eq!(began.elapsed().as_secs(), 61);
        let body = read(slow(vec![b"{", b"\"a\"", b":1}"]), SMALL_BODY)
            .await
            .unwrap();
        assert_eq!(*body, *b"{\"a\":1}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_of_unknown_length_is_cut_off_at_the_limit() {
        let refused = read(slow(vec![b"0123456789"; 7]), 64).await.unwrap_err();
        assert_eq!(refused.status(), http::StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(read(slow(vec![b"01234567"; 8]), 64).await.unwrap().len(), 64);
    }

    #[test]
    fn what_is_wrong_with_json_is_told_apart() {
        #[derive(Debug, serde::Deserialize)]
        struct Expected {
            #[expect(dead_code, reason = "only parsed")]
            number: u32,
        }
        let errcode = |text: &[u8]| parse::<Expected>(text).unwrap_err().errcode();
        let deep = |levels: usize| {
            format!(
                "{{\"number\":1,\"a\":{}{}}}",
                "[".repeat(levels),
                "]".repeat(levels)
            )
        };
        assert_eq!(errcode(deep(100).as_bytes()), "M_BAD_JSON");
        parse::<Expected>(deep(99).as_bytes()).unwrap();
        for text in [
            &b"{"[..],
            b"",
            b"{\"number\":NaN}",
            b"{\"number\":1} x",
            b"{\"number\":1,\"a\":\"\xff\"}",
            b"{'number':1}",
            b"{\"number\":1,\"a\":\"\\uD800\"}",
        ] {
            assert_eq!(errcode(text), "M_NOT_JSON", "{}", String::from_utf8_lossy(text));
        }
        for text in [
            &b"{\"number\":\"1\"}"[..],
            b"{\"number\":-1}",
            b"5",
            b"{\"number\":null}",
        ] {
            assert_eq!(errcode(text), "M_BAD_JSON", "{}", String::from_utf8_lossy(text));
        }
        assert_eq!(errcode(b"{}"), "M_MISSING_PARAM");
    }
}
