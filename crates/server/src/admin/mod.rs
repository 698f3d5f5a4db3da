//! Administration: JSON over HTTP over mutual TLS, an operation per file. Every call takes one path: the caller's
//! certificate, the operation's rule, the act with its audit row in one transaction, the answer.

mod caller;
mod close_user;
mod create_invite;
mod create_tenant;
mod delete_tenant;
mod list_tenants;
mod set_suite;

pub use caller::Caller;
pub use close_user::{CloseUser, ClosedUser};
pub use create_invite::{CreateInvite, MadeInvite};
pub use create_tenant::{CreateTenant, MadeTenant, Suite, act as create_tenant};
pub use delete_tenant::{DeleteTenant, Deleted};
pub use list_tenants::{ListTenants, ListedTenant, ListedTenants};
pub use set_suite::{SetSuite, SetTo, act as set_suite};

use crate::{gateway::failure::Failure, node::Node};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use rules::admin::{AdminOp, Role, permit};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::sync::Arc;
use wire::{ErrorCode, Fault, Refusal};

/// The largest request.
const BODY_MAX_BYTES: usize = 16 << 10;

/// An operation's request; the type of its answer belongs to it.
pub trait Endpoint: Serialize + DeserializeOwned {
    /// Which operation.
    const OP: AdminOp;
    /// What a success answers.
    type Answer: Serialize + DeserializeOwned;
}

/// What is answered instead, with a status that says whose fault it is.
#[derive(Debug, Serialize, Deserialize)]
pub struct Problem {
    /// The stable code (`wire::ErrorCode`).
    pub code: String,
    /// For people.
    pub detail: Option<String>,
}

/// The admin listener's router. Whoever gets here has shown a certificate of the plane's authority.
pub fn router(node: Arc<Node>) -> Router {
    Router::new().route("/v1/{operation}", post(handle)).layer(DefaultBodyLimit::max(BODY_MAX_BYTES)).with_state(node)
}

async fn handle(State(node): State<Arc<Node>>, Path(operation): Path<String>, body: Bytes) -> Response {
    let Some(op) = AdminOp::from_name(&operation) else { return problem(ErrorCode::UnknownOperation.into()) };
    // One role today; with more, the certificate says which.
    if !permit(op, Role::Administrator) {
        return problem(ErrorCode::Forbidden.into());
    }
    let answer = match op {
        AdminOp::CreateTenant => answer(read(&body), async |request| create_tenant::act(&node, request).await).await,
        AdminOp::ListTenants => answer(read(&body), async |request| list_tenants::act(&node, request).await).await,
        AdminOp::DeleteTenant => answer(read(&body), async |request| delete_tenant::act(&node, request).await).await,
        AdminOp::CreateInvite => answer(read(&body), async |request| create_invite::act(&node, request).await).await,
        AdminOp::CloseUser => answer(read(&body), async |request| close_user::act(&node, request).await).await,
        AdminOp::SetSuite => answer(read(&body), async |request| set_suite::act(&node, request).await).await,
    };
    match answer {
        Ok(response) => {
            tracing::info!(op = op.as_str(), "administration");
            response
        }
        Err(failure) => problem(failure.into_refusal(op.as_str())),
    }
}

async fn answer<E: Endpoint>(
    request: Result<E, Failure>,
    act: impl AsyncFnOnce(E) -> Result<E::Answer, Failure>,
) -> Result<Response, Failure> {
    Ok(Json(act(request?).await?).into_response())
}

fn read<E: Endpoint>(body: &[u8]) -> Result<E, Failure> {
    serde_json::from_slice(body).map_err(|error| Refusal::with_detail(ErrorCode::Malformed, error.to_string()).into())
}

fn problem(refusal: Refusal) -> Response {
    let code = refusal.code().unwrap_or(ErrorCode::Internal);
    let status = match code.fault() {
        Fault::Caller => StatusCode::BAD_REQUEST,
        Fault::State => StatusCode::CONFLICT,
        Fault::Server => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, Json(Problem { code: code.as_str().into(), detail: refusal.detail })).into_response()
}
