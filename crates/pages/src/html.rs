//! From a template to an answer that a browser may show, and do nothing else with.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use minijinja::{AutoEscape, Environment, Value, context};

/// No scripts, nothing from elsewhere, no frames; forms come back to us (security.md W09).
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; \
     frame-ancestors 'none'; base-uri 'none'";

const TEMPLATES: [(&str, &str); 7] = [
    ("layout.html", include_str!("../templates/layout.html")),
    ("clients.html", include_str!("../templates/clients.html")),
    ("invitation.html", include_str!("../templates/invitation.html")),
    ("account.html", include_str!("../templates/account.html")),
    ("joined.html", include_str!("../templates/joined.html")),
    ("message.html", include_str!("../templates/message.html")),
    (
        "allow_password.html",
        include_str!("../templates/allow_password.html"),
    ),
];

/// The stylesheet of all pages.
const STYLE: &str = include_str!("../templates/style.css");

/// The templates of all pages.
#[derive(Clone)]
pub(crate) struct Html {
    environment: Arc<Environment<'static>>,
}

impl Html {
    /// For pages of the server of this name.
    pub(crate) fn new(server_name: &str) -> Result<Self, minijinja::Error> {
        let mut environment = Environment::new();
        environment.add_global("server_name", server_name);
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        for (name, text) in TEMPLATES {
            environment.add_template(name, text)?;
        }
        Ok(Self {
            environment: Arc::new(environment),
        })
    }

    /// A page that says one thing.
    pub(crate) fn message(&self, status: StatusCode, heading: &str, text: &str) -> Response {
        self.page(status, "message.html", context! { heading, text })
    }

    /// The page.
    pub(crate) fn page(&self, status: StatusCode, template: &str, context: Value) -> Response {
        let written = self
            .environment
            .get_template(template)
            .and_then(|template| template.render(context));
        match written {
            Ok(text) => guarded((status, axum::response::Html(text)).into_response()),
            Err(error) => {
                tracing::error!(%error, "a page cannot be written");
                let text = "This page cannot be shown. Tell the server's administrators.";
                guarded((StatusCode::INTERNAL_SERVER_ERROR, text).into_response())
            }
        }
    }
}

impl std::fmt::Debug for Html {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Html")
    }
}

/// `GET /_gatehouse/style.css`
pub(crate) async fn style() -> Response {
    let mut response = STYLE.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/css; charset=utf-8"),
    );
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=3600"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// What is on a page is for one person: it is not kept, and its address is told to nobody (security.md T21).
pub(crate) fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
