//! Requests that carry the signature of the server that makes them (server-server API, "Request authentication").

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use gatehouse_events::json::{canonical, parse_value};
use ruma::{
    OwnedServerName, ServerName, SigningKeyAlgorithm,
    signatures::{KeyPair as _, verify_canonical_json_bytes},
};
use serde_json::Value;

use crate::{Federation, FederationError, VerifyError};

/// Longer headers are nobody's.
const MAX_HEADER_BYTES: usize = 2_048;

/// The content of an `Authorization` header of this kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XMatrix {
    /// Who makes the request.
    pub origin: OwnedServerName,
    /// For whom; early servers do not say.
    pub destination: Option<OwnedServerName>,
    /// Which key signed.
    pub key: String,
    /// The signature.
    pub sig: String,
}

/// A request as it came.
#[derive(Debug, Clone, Copy)]
pub struct ReceivedRequest<'a> {
    /// Such as `PUT`.
    pub method: &'a str,
    /// Path and query, as they came.
    pub uri: &'a str,
    /// The values of all `Authorization` headers.
    pub authorization: &'a [String],
    /// The body, when there is one: JSON as it came, checked before to be that.
    pub body: Option<&'a str>,
}

impl XMatrix {
    /// From a header's value: `X-Matrix` and parameters as in RFC 9110, quoted or not.
    pub fn parse(header: &str) -> Option<Self> {
        let Fields {
            origin,
            destination,
            key,
            sig,
        } = Fields::of(header)?;
        Some(Self {
            origin: origin?.try_into().ok()?,
            destination: destination.map(TryInto::try_into).transpose().ok()?,
            key: key?,
            sig: sig?,
        })
    }

    /// Whether the header has all that it needs but for the name of its origin, which is none.
    pub fn has_wrong_name(header: &str) -> bool {
        Fields::of(header).is_some_and(|fields| {
            let is_name = |origin: String| OwnedServerName::try_from(origin).is_ok();
            fields.key.is_some()
                && fields.sig.is_some()
                && fields.origin.is_some_and(|origin| !is_name(origin))
        })
    }
}

/// What a header says, as it stands there.
#[derive(Default)]
struct Fields {
    origin: Option<String>,
    destination: Option<String>,
    key: Option<String>,
    sig: Option<String>,
}

impl Fields {
    fn of(header: &str) -> Option<Self> {
        if header.len() > MAX_HEADER_BYTES {
            return None;
        }
        let (scheme, mut rest) = header.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("X-Matrix") {
            return None;
        }
        let mut fields = Self::default();
        while let Some((name, value, after)) = parameter(rest) {
            let slot = match name.to_ascii_lowercase().as_str() {
                "origin" => Some(&mut fields.origin),
                "destination" => Some(&mut fields.destination),
                "key" => Some(&mut fields.key),
                "sig" => Some(&mut fields.sig),
                _ => None,
            };
            // Whoever says a thing twice may mean two.
            if slot.is_some_and(|slot| slot.replace(value).is_some()) {
                return None;
            }
            rest = after;
        }
        rest.trim().is_empty().then_some(fields)
    }
}

/// What the object that is signed calls the server for which the request is.
const DESTINATION: &str = "destination";

/// What Sydent and Synapse have it call an identity server. The specification knows no such word.
const DESTINATION_IS: &str = "destination_is";

impl Federation {
    /// The value of the `Authorization` header of a request that we make. `destination` is the name of the server.
    pub fn authorization(
        &self,
        destination: &str,
        method: &str,
        uri: &str,
        body: Option<&Value>,
    ) -> Result<String, FederationError> {
        let body = canonical_text(body)?;
        Ok(self.authorization_of(destination, method, uri, body.as_deref()))
    }

    /// As [`Self::authorization`], in the way that identity servers in the field check it.
    pub fn authorization_for_identity_server(
        &self,
        destination: &str,
        method: &str,
        uri: &str,
        body: Option<&Value>,
    ) -> Result<String, FederationError> {
        let body = canonical_text(body)?;
        Ok(self.signature((DESTINATION_IS, destination), method, uri, body.as_deref()))
    }

    /// As [`Self::authorization`], of a body that is canonical JSON already. It is not parsed for it: a transaction may be
    /// long.
    pub(crate) fn authorization_of(
        &self,
        destination: &str,
        method: &str,
        uri: &str,
        body: Option<&str>,
    ) -> String {
        self.signature((DESTINATION, destination), method, uri, body)
    }

    fn signature(
        &self,
        (word, destination): (&str, &str),
        method: &str,
        uri: &str,
        body: Option<&str>,
    ) -> String {
        let origin = self.server_name();
        let signed = signed_text(origin.as_str(), (word, destination), method, uri, body);
        let sig = self.key().sign(signed.as_bytes()).base64();
        let key = self.key().key_id();
        format!("X-Matrix origin=\"{origin}\",destination=\"{destination}\",key=\"{key}\",sig=\"{sig}\"")
    }

    /// Which server makes the request; `names` are those under which we are asked as an identity server, besides our own.
    pub async fn verify(
        &self,
        request: ReceivedRequest<'_>,
        names: &[&str],
    ) -> Result<OwnedServerName, VerifyError> {
        let headers = request
            .authorization
            .iter()
            .filter_map(|header| XMatrix::parse(header));
        let mut reason = VerifyError::Missing;
        for header in headers {
            match self.verify_header(request, &header, names).await {
                Ok(()) => return Ok(header.origin),
                Err(error) => reason = error,
            }
        }
        Err(reason)
    }

    async fn verify_header(
        &self,
        request: ReceivedRequest<'_>,
        header: &XMatrix,
        names: &[&str],
    ) -> Result<(), VerifyError> {
        let destinations = self.signed_for(header, names)?;
        let origin: &ServerName = &header.origin;
        if !self.allows(origin) {
            return Err(VerifyError::NotAllowed);
        }
        let key = self.key_for_requests(origin, &header.key).await;
        let key = key
            .map_err(|_| VerifyError::NoKeys)?
            .ok_or(VerifyError::UnknownKey)?;
        let sig = decode(&header.sig).ok_or(VerifyError::WrongSignature)?;
        let is_signed = |body: Option<&str>| {
            destinations.iter().any(|destination| {
                let text = signed_text(origin.as_str(), *destination, request.method, request.uri, body);
                let algorithm = SigningKeyAlgorithm::Ed25519;
                verify_canonical_json_bytes(&algorithm, key.as_bytes(), &sig, text.as_bytes()).is_ok()
            })
        };
        // Mostly the body comes as it was signed. It is sorted only when not, and may hold what cannot be: numbers of old
        // room versions, which are for each event to answer for.
        if is_signed(request.body) {
            return Ok(());
        }
        let sorted = request.body.and_then(sorted);
        if sorted.is_some() && is_signed(sorted.as_deref()) {
            return Ok(());
        }
        Err(VerifyError::WrongSignature)
    }

    /// For whom it may have been signed, and how that is called: as in the specification, and, for an identity server, as
    /// in the field.
    fn signed_for<'a>(
        &'a self,
        header: &'a XMatrix,
        names: &[&'a str],
    ) -> Result<Vec<(&'static str, &'a str)>, VerifyError> {
        let own = self.server_name().as_str();
        let destination = header.destination.as_ref().map(|name| name.as_str());
        if destination.is_some_and(|name| name != own && !names.contains(&name)) {
            return Err(VerifyError::OtherDestination);
        }
        let specified = std::iter::once((DESTINATION, destination.unwrap_or(own)));
        let in_the_field = names
            .iter()
            .filter(|name| destination.is_none_or(|destination| destination == **name))
            .map(|name| (DESTINATION_IS, *name));
        Ok(specified.chain(in_the_field).collect())
    }
}

/// What is signed: canonical JSON, if the body is.
fn signed_text(
    origin: &str,
    (word, destination): (&str, &str),
    method: &str,
    uri: &str,
    body: Option<&str>,
) -> String {
    let text = |text: &str| Value::from(text).to_string();
    // In the order of the keys.
    let content = body.map_or_else(String::new, |body| format!("\"content\":{body},"));
    format!(
        "{{{content}\"{word}\":{},\"method\":{},\"origin\":{},\"uri\":{}}}",
        text(destination),
        text(method),
        text(origin),
        text(uri)
    )
}

fn canonical_text(body: Option<&Value>) -> Result<Option<String>, FederationError> {
    let body = body.map(|body| canonical(body.clone()).map(|body| body.to_string()));
    body.transpose().map_err(|_| FederationError::BadAnswer)
}

/// The body without spaces and with its keys in order.
fn sorted(body: &str) -> Option<String> {
    parse_value(body.as_bytes()).ok().map(|body| body.to_string())
}

/// Unpadded base64, however padded.
fn decode(base64: &str) -> Option<Vec<u8>> {
    STANDARD_NO_PAD.decode(base64.trim_end_matches('=')).ok()
}

/// The first parameter of a list, and what is after it and its comma.
fn parameter(list: &str) -> Option<(&str, String, &str)> {
    let list = list.trim_start_matches([' ', '\t', ',']);
    let (name, rest) = list.split_once('=')?;
    let name = name.trim();
    let rest = rest.trim_start();
    if let Some(quoted) = rest.strip_prefix('"') {
        let (value, after) = unquoted(quoted)?;
        return Some((name, value, after));
    }
    let (value, after) = rest.split_once(',').unwrap_or((rest, ""));
    Some((name, value.trim().to_owned(), after))
}

/// What stands before the closing quote, without its escapes, and what stands after it.
fn unquoted(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn headers_are_read_quoted_or_not() {
        let parsed = XMatrix {
            origin: "a.example:80".try_into().unwrap(),
            destination: Some("b.example".try_into().unwrap()),
            key: "ed25519:x".to_owned(),
            sig: "AB+/".to_owned(),
        };
        for header in [
            "X-Matrix origin=\"a.example:80\",destination=\"b.example\",key=\"ed25519:x\",sig=\"AB+/\"",
            "x-matrix origin=a.example:80,destination=b.example,key=\"ed25519:x\",sig=AB+/",
            "X-Matrix  ORIGIN = \"a.example:80\" , extra=1, destination=b.example, key=\"ed\\25519:x\", sig=\"AB+/\"",
        ] {
            assert_eq!(XMatrix::parse(header).as_ref(), Some(&parsed), "{header}");
        }
    }

    #[test]
    fn an_origin_that_is_no_server_is_told_from_a_broken_header() {
        let header = |origin: &str| format!("X-Matrix origin=\"{origin}\",key=\"ed25519:x\",sig=\"AB\"");
        for origin in ["localhost:http", "a b", "a:123456", ""] {
            assert!(XMatrix::has_wrong_name(&header(origin)), "{origin}");
            assert_eq!(XMatrix::parse(&header(origin)), None);
        }
        for fine in [
            header("a.example").as_str(),
            "X-Matrix origin=\"a b\"",
            "Bearer x",
            "",
        ] {
            assert!(!XMatrix::has_wrong_name(fine), "{fine}");
        }
    }

    #[test]
    fn headers_that_are_broken_or_ambiguous_are_not_read() {
        for header in [
            "",
            "X-Matrix",
            "Bearer x",
            "X-Matrix origin=a.example",
            "X-Matrix origin=\"a.example,key=x,sig=y",
            "X-Matrix origin=a.example,origin=b.example,key=x,sig=y",
            "X-Matrix origin=a b,key=x,sig=y",
            "X-Matrix origin=a.example,key=x,sig=y,nonsense",
            "X-Matrix origin=\"a.example\\",
        ] {
            assert_eq!(XMatrix::parse(header), None, "{header}");
        }
        assert_eq!(
            XMatrix::parse(&format!(
                "X-Matrix origin=a.example,key=x,sig={}",
                "y".repeat(3_000)
            )),
            None
        );
    }

    #[tokio::test]
    async fn a_signature_as_sydent_and_synapse_make_it_is_good_for_an_identity_server_alone() {
        use std::sync::Arc;

        use gatehouse_events::{Clock, SigningKey};
        let key = SigningKey::from_seed([1; 32], "a").unwrap();
        let name = "a.example".try_into().unwrap();
        let store = gatehouse_store::Store::new(Arc::new(gatehouse_store::memory::MemoryBackend::new()));
        let config = crate::FederationConfig::default();
        let server = Federation::new(store, name, Arc::new(key), Clock::manual(1_000), None, config);
        let body = json!({});
        let verify = async |destination: &str, names: &[&str], is_named: bool| {
            let signed = server
                .authorization_for_identity_server(destination, "POST", "/x", Some(&body))
                .unwrap();
            let named = format!(",destination=\"{destination}\"");
            let authorization = [if is_named {
                signed
            } else {
                signed.replace(&named, "")
            }];
            let request = ReceivedRequest {
                method: "POST",
                uri: "/x",
                authorization: &authorization,
                body: Some("{}"),
            };
            server.verify(request, names).await
        };
        for is_named in [true, false] {
            assert!(verify("id.example", &["id.example"], is_named).await.is_ok());
            assert!(verify("a.example", &["a.example"], is_named).await.is_ok());
            let for_the_homeserver = verify("a.example", &[], is_named).await;
            assert_eq!(for_the_homeserver, Err(VerifyError::WrongSignature));
            let for_another = verify("other.example", &["id.example"], is_named).await;
            assert!(for_another.is_err());
        }
    }

    #[tokio::test]
    async fn a_signature_is_good_for_the_request_that_was_signed_and_no_other() {
        use std::sync::Arc;

        use gatehouse_events::{Clock, SigningKey};
        let key = SigningKey::from_seed([1; 32], "a").unwrap();
        let name = "a.example".try_into().unwrap();
        let store = gatehouse_store::Store::new(Arc::new(gatehouse_store::memory::MemoryBackend::new()));
        let clock = Clock::manual(1_000);
        let config = crate::FederationConfig::default();
        let server = Federation::new(store, name, Arc::new(key), clock, None, config);
        let body = json!({ "mxid": "@a:a.example" });
        let sign = |destination: &str| {
            server
                .authorization(destination, "POST", "/x?y", Some(&body))
                .unwrap()
        };
        let verify = async |header: String, method: &str, uri: &str, body: Option<&Value>| {
            let authorization = [header];
            let body = body.map(|body| serde_json::to_string_pretty(body).unwrap());
            let request = ReceivedRequest {
                method,
                uri,
                authorization: &authorization,
                body: body.as_deref(),
            };
            server.verify(request, &["id.example"]).await
        };
        let origin: OwnedServerName = "a.example".try_into().unwrap();
        for destination in ["a.example", "id.example"] {
            assert_eq!(
                verify(sign(destination), "POST", "/x?y", Some(&body)).await,
                Ok(origin.clone())
            );
        }
        let refused = Err(VerifyError::WrongSignature);
        let header = || sign("a.example");
        assert_eq!(verify(header(), "PUT", "/x?y", Some(&body)).await, refused);
        assert_eq!(verify(header(), "POST", "/x", Some(&body)).await, refused);
        assert_eq!(
            verify(header(), "POST", "/x?y", Some(&json!({ "mxid": "@b:a.example" }))).await,
            refused
        );
        assert_eq!(verify(header(), "POST", "/x?y", None).await, refused);
        let other = sign("other.example");
        assert_eq!(
            verify(other, "POST", "/x?y", Some(&body)).await,
            Err(VerifyError::OtherDestination)
        );
        let key = header().replace("ed25519:a", "ed25519:b");
        assert_eq!(
            verify(key, "POST", "/x?y", Some(&body)).await,
            Err(VerifyError::UnknownKey)
        );
        let unknown = header().replace("origin=\"a.example\"", "origin=\"b.example\"");
        assert_eq!(
            verify(unknown, "POST", "/x?y", Some(&body)).await,
            Err(VerifyError::NoKeys)
        );
        assert_eq!(
            verify(String::new(), "POST", "/x?y", Some(&body)).await,
            Err(VerifyError::Missing)
        );
    }

    #[test]
    fn r14_bodies_with_numbers_that_cannot_be_signed_are_signed_all_the_same() {
        let body = r#"{"b":1.5,"a":-0.0}"#;
        let text = signed_text("a", (DESTINATION, "b"), "PUT", "/x", Some(body));
        assert_eq!(
            text,
            r#"{"content":{"b":1.5,"a":-0.0},"destination":"b","method":"PUT","origin":"a","uri":"/x"}"#
        );
        assert_eq!(sorted(body).as_deref(), Some(r#"{"a":-0.0,"b":1.5}"#));
    }
}
