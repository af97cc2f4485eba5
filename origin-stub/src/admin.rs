//! The admin listener: faults, holds, counts and the clock over HTTP, all in JSON.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::control::Control;
use crate::faults::{Fault, FaultError, FaultId};
use crate::pattern::Pattern;

/// Serves until `shutdown`.
pub(crate) async fn run(
    listener: TcpListener,
    control: Control,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/v1/faults", get(list_faults).post(add_fault).delete(clear_faults))
        .route("/v1/faults/{id}", delete(remove_fault))
        .route("/v1/holds", get(list_holds))
        .route("/v1/holds/{name}", delete(release))
        .route("/v1/requests", get(requests).delete(forget))
        .route("/v1/clock", get(clock).post(set_clock))
        .with_state(control);
    let stop = shutdown.clone();
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move { stop.cancelled().await });
    let serving = std::pin::pin!(serving.into_future());
    let late = async {
        shutdown.cancelled().await;
        timeout(GRACE, std::future::pending::<()>()).await.unwrap_or_default();
    };
    tokio::select! {
        served = serving => Ok(served?),
        () = late => Ok(()),
    }
}

/// How long open admin requests may continue after a shutdown request.
const GRACE: Duration = Duration::from_secs(1);

async fn add_fault(State(control): State<Control>, body: String) -> Response {
    let fault: Fault = match serde_json::from_str(&body) {
        Ok(fault) => fault,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &format!("the fault is not valid: {error}")),
    };
    match control.fault(fault) {
        Ok(id) => {
            control.listener_updated().await;
            (StatusCode::CREATED, Json(json!({ "id": id }))).into_response()
        }
        Err(error @ FaultError::TooMany { .. }) => refuse(StatusCode::CONFLICT, &error.to_string()),
        Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

async fn list_faults(State(control): State<Control>) -> Json<Value> {
    Json(json!({ "faults": control.faults() }))
}

async fn clear_faults(State(control): State<Control>) -> StatusCode {
    control.clear();
    control.listener_updated().await;
    StatusCode::NO_CONTENT
}

async fn remove_fault(State(control): State<Control>, Path(id): Path<u64>) -> Response {
    if !control.remove(FaultId(id)) {
        return refuse(StatusCode::NOT_FOUND, "there is no such fault, or it is spent");
    }
    control.listener_updated().await;
    StatusCode::NO_CONTENT.into_response()
}

async fn list_holds(State(control): State<Control>) -> Json<Value> {
    let holds: Vec<Value> = control
        .holds()
        .into_iter()
        .map(|(name, waiting)| json!({ "name": name, "waiting": waiting }))
        .collect();
    Json(json!({ "holds": holds }))
}

async fn release(State(control): State<Control>, Path(name): Path<String>) -> Json<Value> {
    Json(json!({ "released": control.release(&name) }))
}

/// Counts, connections, and the latest requests, oldest first.
async fn requests(State(control): State<Control>) -> Response {
    let Ok(Value::Object(mut report)) = serde_json::to_value(control.counted()) else {
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, "the counts cannot be shown");
    };
    let more = json!({
        "connections": control.connections(),
        "held": control.blocked_now(),
        "recent": control.seen(Pattern::ANY),
    });
    if let Value::Object(more) = more {
        report.extend(more);
    }
    Json::<Map<String, Value>>(report).into_response()
}

async fn forget(State(control): State<Control>) -> StatusCode {
    control.forget();
    StatusCode::NO_CONTENT
}

async fn clock(State(control): State<Control>) -> Json<Value> {
    Json(json!({ "now": control.now().as_secs_f64() }))
}

/// `{"stop": true}`, `{"advance_ms": 2000}`, `{"run": true}`, or several of them, in this order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockOrder {
    #[serde(default)]
    run: bool,
    #[serde(default)]
    stop: bool,
    #[serde(default)]
    advance_ms: u64,
}

async fn set_clock(State(control): State<Control>, body: String) -> Response {
    let order: ClockOrder = match serde_json::from_str(&body) {
        Ok(order) => order,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &format!("the order is not valid: {error}")),
    };
    if order.advance_ms > A_YEAR_MS {
        return refuse(StatusCode::BAD_REQUEST, "advance_ms is out of bounds: at most a year");
    }
    if order.run {
        control.run_clock();
    }
    if order.stop {
        control.stop_clock();
    }
    control.advance(Duration::from_millis(order.advance_ms));
    clock(State(control)).await.into_response()
}

const A_YEAR_MS: u64 = 366 * 24 * 3_600_000;

fn refuse(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}
