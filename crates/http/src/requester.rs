//! Who makes a request.

use std::{net::IpAddr, ops::Deref, sync::Arc};

use axum::extract::FromRequestParts;
use gatehouse_accounts::{AuthError, Session};
use http::{HeaderMap, StatusCode, header, request::Parts};

use crate::{ApiError, HasHttp, query::query_value};

/// The session that the request's access token stands for.
#[derive(Debug, Clone)]
pub struct Requester(pub Arc<Session>);

/// As [`Requester`], where a request without a token is welcome too.
#[derive(Debug, Clone)]
pub struct OptionalRequester(pub Option<Requester>);

/// As [`Requester`], where a locked account is let in as well: to log out.
#[derive(Debug, Clone)]
pub struct LockedRequester(pub Arc<Session>);

/// The address that the request comes from: the peer's, or what a trusted proxy says.
#[derive(Debug, Clone, Copy)]
pub struct ClientAddress(pub IpAddr);

/// The peer of the connection, put into each request by the listener.
#[derive(Debug, Clone)]
pub struct Peer {
    /// `None`: a unix socket.
    pub address: Option<IpAddr>,
    /// Peers whose `X-Forwarded-For` the listener believes, in canonical form.
    pub trusted_proxies: Arc<[IpAddr]>,
}

impl Requester {
    /// 403 `M_GUEST_ACCESS_FORBIDDEN` for guests.
    pub fn refuse_guest(&self) -> Result<(), ApiError> {
        if self.0.is_guest {
            return Err(ApiError::guest_access_forbidden(
                "Guests may not do this. Make an account first.",
            ));
        }
        Ok(())
    }

    /// 403 `M_USER_SUSPENDED` for suspended users.
    pub fn refuse_suspended(&self) -> Result<(), ApiError> {
        if self.0.is_suspended {
            let message = "This account is suspended and may read only. Ask the server's administrators why.";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "M_USER_SUSPENDED", message));
        }
        Ok(())
    }
}

impl Deref for Requester {
    type Target = Session;
    fn deref(&self) -> &Session {
        &self.0
    }
}

impl Deref for LockedRequester {
    type Target = Session;
    fn deref(&self) -> &Session {
        &self.0
    }
}

/// The token in the `Authorization` header, or else in the query.
pub fn access_token(parts: &Parts) -> Option<String> {
    if let Some(value) = parts
        .headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        && let Some((scheme, token)) = value.split_once(' ')
        && scheme.eq_ignore_ascii_case("bearer")
    {
        return Some(token.trim().to_owned());
    }
    query_value(parts.uri.query()?, "access_token")
}

async fn session<S: HasHttp>(parts: &Parts, state: &S) -> Result<Result<Arc<Session>, AuthError>, ApiError> {
    let token = access_token(parts)
        .filter(|token| !token.is_empty())
        .ok_or_else(|| {
            ApiError::missing_token("This needs an access token. Send it as `Authorization: Bearer <token>`.")
        })?;
    let context = state.http();
    let session = context.accounts.authenticate(&token).await;
    if let Ok(session) = &session {
        context.accounts.note_seen(session, || Some(address_of(parts)));
    }
    Ok(session)
}

fn refusal(error: &AuthError) -> ApiError {
    let message = error.to_string();
    match error {
        AuthError::UnknownToken => ApiError::unknown_token(message).with("soft_logout", false),
        AuthError::Expired => ApiError::unknown_token(message).with("soft_logout", true),
        AuthError::Locked(_) => {
            ApiError::new(StatusCode::UNAUTHORIZED, "M_USER_LOCKED", message).with("soft_logout", true)
        }
        AuthError::Unavailable(_) => ApiError::unavailable(message),
    }
}

impl<S: HasHttp> FromRequestParts<S> for Requester {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        session(parts, state)
            .await?
            .map(Self)
            .map_err(|error| refusal(&error))
    }
}

impl<S: HasHttp> FromRequestParts<S> for OptionalRequester {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        if access_token(parts).is_none() {
            return Ok(Self(None));
        }
        Requester::from_request_parts(parts, state)
            .await
            .map(|requester| Self(Some(requester)))
    }
}

impl<S: HasHttp> FromRequestParts<S> for LockedRequester {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match session(parts, state).await? {
            Ok(session) | Err(AuthError::Locked(session)) => Ok(Self(session)),
            Err(error) => Err(refusal(&error)),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self(address_of(parts)))
    }
}

fn address_of(parts: &Parts) -> IpAddr {
    match parts.extensions.get::<Peer>() {
        Some(peer) => client_address(peer.address, &parts.headers, &peer.trusted_proxies),
        None => client_address(None, &parts.headers, &[]),
    }
}

/// The right-most address that no trusted proxy has, when the peer is a trusted proxy; else the peer's own (W14). A
/// unix socket is a proxy on this machine.
fn client_address(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &[IpAddr]) -> IpAddr {
    let loopback = IpAddr::from([127, 0, 0, 1]);
    let direct = peer.unwrap_or(loopback);
    if peer.is_some_and(|peer| !trusted.contains(&peer)) {
        return direct;
    }
    // In bytes: what a client wrote to the left may be anything, and must not hide what a proxy added.
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for hop in hops {
        let address = std::str::from_utf8(hop)
            .ok()
            .and_then(|hop| hop.trim().parse().ok());
        match address.map(|address: IpAddr| address.to_canonical()) {
            Some(address) if trusted.contains(&address) => {}
            Some(address) => return address,
            None => return direct,
        }
    }
    direct
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w14_only_trusted_proxies_say_where_a_request_comes_from() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "6.6.6.6, 9.9.9.9, 10.0.0.2".parse().unwrap());
        let proxies = [address("10.0.0.1"), address("10.0.0.2")];
        let seen = |peer: &str, trusted: &[IpAddr]| client_address(Some(address(peer)), &headers, trusted);
        assert_eq!(seen("8.8.8.8", &[]), address("8.8.8.8"));
        assert_eq!(seen("8.8.8.8", &proxies), address("8.8.8.8"));
        assert_eq!(seen("10.0.0.1", &proxies), address("9.9.9.9"));
        headers.insert("x-forwarded-for", "6.6.6.6, nonsense".parse().unwrap());
        assert_eq!(client_address(Some(proxies[0]), &headers, &proxies), proxies[0]);
    }
    #[test]
    fn w14_what_a_client_wrote_does_not_hide_what_a_proxy_added() {
        let proxy: IpAddr = "10.0.0.1".parse().unwrap();
        let seen = |lines: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", http::HeaderValue::from_bytes(line).unwrap());
            }
            client_address(Some(proxy), &headers, &[proxy]).to_string()
        };
        assert_eq!(seen(&[b"\xff, 9.9.9.9"]), "9.9.9.9");
        assert_eq!(seen(&[b"\xff", b"9.9.9.9"]), "9.9.9.9");
        assert_eq!(seen(&[b"6.6.6.6, 9.9.9.9", b"10.0.0.1"]), "9.9.9.9");
        assert_eq!(seen(&[b"9.9.9.9, \xff"]), "10.0.0.1");
    }

    #[test]
    fn w14_a_proxy_is_known_in_either_form_of_its_address() {
        let proxy: IpAddr = "10.0.0.1".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "9.9.9.9, ::ffff:10.0.0.1".parse().unwrap());
        let seen = client_address(Some(proxy), &headers, &[proxy]);
        assert_eq!(seen.to_string(), "9.9.9.9");
    }
}
