//! Requests that carry the signature of the server that makes them (server-server API, "Request authentication").

use ruma::{OwnedServerName, ServerName, signatures::sign_json};
use serde_json::{Map, Value, json};

use crate::{
    Federation, FederationError, VerifyError,
    server_keys::{canonical, is_signed},
};

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
    /// The body, when there is one.
    pub body: Option<&'a Value>,
}

impl XMatrix {
    /// From a header's value: `X-Matrix` and parameters as in RFC 9110, quoted or not.
    pub fn parse(header: &str) -> Option<Self> {
        if header.len() > MAX_HEADER_BYTES {
            return None;
        }
        let (scheme, mut rest) = header.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("X-Matrix") {
            return None;
        }
        let (mut origin, mut destination, mut key, mut sig) = (None, None, None, None);
        while let Some((name, value, after)) = parameter(rest) {
            let slot = match name.to_ascii_lowercase().as_str() {
                "origin" => Some(&mut origin),
                "destination" => Some(&mut destination),
                "key" => Some(&mut key),
                "sig" => Some(&mut sig),
                _ => None,
            };
            // Whoever says a thing twice may mean two.
            if slot.is_some_and(|slot| slot.replace(value).is_some()) {
                return None;
            }
            rest = after;
        }
        if !rest.trim().is_empty() {
            return None;
        }
        Some(Self {
            origin: origin?.try_into().ok()?,
            destination: destination.map(TryInto::try_into).transpose().ok()?,
            key: key?,
            sig: sig?,
        })
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
        self.signature((DESTINATION, destination), method, uri, body)
    }

    /// As [`Self::authorization`], in the way that identity servers in the field check it.
    pub fn authorization_for_identity_server(
        &self,
        destination: &str,
        method: &str,
        uri: &str,
        body: Option<&Value>,
    ) -> Result<String, FederationError> {
        self.signature((DESTINATION_IS, destination), method, uri, body)
    }

    fn signature(
        &self,
        (word, destination): (&str, &str),
        method: &str,
        uri: &str,
        body: Option<&Value>,
    ) -> Result<String, FederationError> {
        let origin = self.server_name();
        let signed = signed_object(origin.as_str(), (word, destination), method, uri, body);
        let mut object = canonical(Value::Object(signed)).map_err(|_| FederationError::BadAnswer)?;
        sign_json(origin.as_str(), self.key(), &mut object).map_err(|_| FederationError::BadAnswer)?;
        let object = serde_json::to_value(object).map_err(|_| FederationError::BadAnswer)?;
        let key = self.key().key_id();
        let sig = object
            .get("signatures")
            .and_then(|signatures| signatures.get(origin.as_str())?.get(&key)?.as_str())
            .ok_or(FederationError::BadAnswer)?;
        Ok(format!(
            "X-Matrix origin=\"{origin}\",destination=\"{destination}\",key=\"{key}\",sig=\"{sig}\""
        ))
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
        let objects = self.objects(request, header, names)?;
        let origin: &ServerName = &header.origin;
        let key = self.server_key(origin, &header.key).await;
        let key = key
            .map_err(|_| VerifyError::NoKeys)?
            .ok_or(VerifyError::UnknownKey)?;
        for mut signed in objects {
            signed.insert(
                "signatures".to_owned(),
                json!({ origin.as_str(): { header.key.as_str(): header.sig } }),
            );
            let object = canonical(Value::Object(signed)).map_err(|_| VerifyError::WrongSignature)?;
            if is_signed(origin, &object, &header.key, &key) {
                return Ok(());
            }
        }
        Err(VerifyError::WrongSignature)
    }

    /// What may have been signed: the object of the specification, and, for an identity server, the one of the field.
    fn objects(
        &self,
        request: ReceivedRequest<'_>,
        header: &XMatrix,
        names: &[&str],
    ) -> Result<Vec<Map<String, Value>>, VerifyError> {
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
        let objects = specified.chain(in_the_field).map(|destination| {
            signed_object(
                header.origin.as_str(),
                destination,
                request.method,
                request.uri,
                request.body,
            )
        });
        Ok(objects.collect())
    }
}

fn signed_object(
    origin: &str,
    (word, destination): (&str, &str),
    method: &str,
    uri: &str,
    body: Option<&Value>,
) -> Map<String, Value> {
    let mut object = Map::new();
    let text = |text: &str| Value::String(text.to_owned());
    object.insert("method".to_owned(), text(method));
    object.insert("uri".to_owned(), text(uri));
    object.insert("origin".to_owned(), text(origin));
    object.insert(word.to_owned(), text(destination));
    if let Some(body) = body {
        object.insert("content".to_owned(), body.clone());
    }
    object
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
        let server = Federation::new(name, Arc::new(key), Clock::manual(1_000), None);
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
                body: Some(&body),
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
        let server = Federation::new(name, Arc::new(key), Clock::manual(1_000), None);
        let body = json!({ "mxid": "@a:a.example" });
        let sign = |destination: &str| {
            server
                .authorization(destination, "POST", "/x?y", Some(&body))
                .unwrap()
        };
        let verify = async |header: String, method: &str, uri: &str, body: Option<&Value>| {
            let authorization = [header];
            let request = ReceivedRequest {
                method,
                uri,
                authorization: &authorization,
                body,
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
}
