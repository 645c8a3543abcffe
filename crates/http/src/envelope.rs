//! What every request passes through, once and outside of all APIs: path length, CORS, headers, panics, metrics.

use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use axum::{
    Router,
    body::Body,
    extract::MatchedPath,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use tower::ServiceExt;

use crate::{
    ApiError, Metrics,
    metrics::{RequestLabels, RouteLabels},
};

/// The longest path and query (limits, "Body sizes in").
const MAX_URI_BYTES: usize = 16 << 10;
/// All headers of a request together, each with four bytes for what stands around it (limits, "Body sizes in").
const MAX_HEADER_BYTES: usize = 32 << 10;
const AROUND_A_HEADER: usize = 4;

/// All APIs of a listener, with what they have in common around them.
#[derive(Clone)]
pub struct Envelope {
    router: Router,
    metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Envelope")
    }
}

impl Envelope {
    /// Around this router. What it does not know is 404 `M_UNRECOGNIZED`, or 405 for a wrong method.
    pub fn new(router: Router, metrics: Arc<Metrics>) -> Self {
        let router = router
            .method_not_allowed_fallback(async || {
                let message = "This path does not take that method.";
                ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "M_UNRECOGNIZED", message)
            })
            .fallback(async || ApiError::unrecognized("There is nothing at this path."))
            .layer(from_fn(remember_route));
        Self { router, metrics }
    }

    /// Answers one request.
    pub async fn answer(self, request: Request<Body>) -> Result<Response, Infallible> {
        if let Err(error) = check_head(&request) {
            return Ok(dressed(error.into_response()));
        }
        if request.method() == Method::OPTIONS {
            return Ok(dressed(StatusCode::NO_CONTENT.into_response()));
        }
        let framing_may_differ = request.headers().contains_key(header::TRANSFER_ENCODING);
        let began = Instant::now();
        let method = request.method().clone();
        let metrics = self.metrics;
        metrics.in_flight.inc();
        let guard = InFlight(&metrics);
        let response = match AssertUnwindSafe(self.router.oneshot(request))
            .catch_unwind()
            .await
        {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => {
                tracing::error!("a request handler panicked");
                ApiError::internal("The server made a mistake. Tell its administrator.").into_response()
            }
        };
        drop(guard);
        count(&metrics, &method, &response, began);
        let mut response = dressed(response);
        if framing_may_differ {
            // A length that came along has been ignored. A proxy that went by it instead may take what follows for
            // another request, so nothing may follow (RFC 9112, section 6.3; W15).
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }
}

/// Refuses a path or headers that are too long.
fn check_head(request: &Request<Body>) -> Result<(), ApiError> {
    let path = request.uri().path_and_query();
    if path.is_some_and(|path| path.as_str().len() > MAX_URI_BYTES) {
        let message = "The path and query are too long: 16 KiB at most.";
        return Err(ApiError::new(StatusCode::URI_TOO_LONG, "M_TOO_LARGE", message));
    }
    let bytes =
        |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + AROUND_A_HEADER;
    if request.headers().iter().map(bytes).sum::<usize>() > MAX_HEADER_BYTES {
        let message = "The headers are too large: 32 KiB together at most.";
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(ApiError::new(status, "M_TOO_LARGE", message));
    }
    Ok(())
}

/// Counts down when the request ends, also when the client goes away in the middle of it.
struct InFlight<'a>(&'a Metrics);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}

/// The template of the route that answered.
#[derive(Clone)]
struct Route(MatchedPath);

async fn remember_route(request: axum::extract::Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(route) = route {
        response.extensions_mut().insert(Route(route));
    }
    response
}

fn count(metrics: &Metrics, method: &Method, response: &Response, began: Instant) {
    let route = response
        .extensions()
        .get::<Route>()
        .map_or("unknown", |route| route.0.as_str())
        .to_owned();
    let known = matches!(
        *method,
        Method::GET | Method::POST | Method::PUT | Method::DELETE | Method::HEAD
    );
    let labels = RequestLabels {
        route: route.clone(),
        method: if known {
            method.as_str().to_owned()
        } else {
            "other".to_owned()
        },
        status: response.status().as_u16(),
    };
    metrics.requests.get_or_create(&labels).inc();
    metrics
        .seconds
        .get_or_create(&RouteLabels { route })
        .observe(began.elapsed().as_secs_f64());
}

/// Adds what every response carries: CORS for web clients, and headers that stop browsers from guessing and caching.
fn dressed(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("X-Requested-With, Content-Type, Authorization"),
    );
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("Retry-After"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}
