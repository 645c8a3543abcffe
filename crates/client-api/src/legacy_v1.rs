//! The legacy API of 2015, `/_matrix/client/api/v1`.

use axum::Router;

use crate::ClientApi;

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new()
}
