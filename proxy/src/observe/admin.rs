//! The operators' listener: health, readiness, status, upstreams and metrics of a tier, purges and
//! reloads.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::config::check::Problem;
use crate::observe::label::label;
use crate::purge::{Invalid, Order, Report};
use crate::reload;

/// What the routes need of a node: its reports, and the actions that operators may start.
pub trait Backend: Send + Sync {
    /// Whether a load balancer should send viewers to it.
    fn readiness(&self) -> Readiness;

    /// Its cached objects, fills in progress and sites.
    fn status(&self) -> Value;

    /// Its upstreams and their states.
    fn upstreams(&self) -> Value;

    /// Its live streams, and how many are watching.
    fn streams(&self) -> Value;

    /// Its metrics in the text format of Prometheus.
    fn metrics(&self) -> String;

    /// Purges, and reports what was purged. It may block the thread.
    ///
    /// # Errors
    /// The order cannot be carried out.
    fn purge(&self, order: &Order) -> Result<Report, Invalid>;

    /// The report of one of the latest purges.
    fn purged(&self, id: &str) -> Option<Report>;

    /// Reloads the configuration, and reports what has changed. It blocks the thread.
    ///
    /// # Errors
    /// The first error of the configuration, which then stays as it is.
    fn reload(&self) -> Result<reload::Report, Problem>;
}

label! {
    /// Whether a load balancer should send viewers to a tier.
    Readiness {
        /// It should.
        Ready = "ready",
        /// It finishes the requests in progress and stops.
        Draining = "draining",
        /// No upstream is available.
        NoUpstream = "no_upstream",
    }
}

/// The routes of one tier. Every response but `/metrics` is JSON, errors included.
pub fn router(backend: Arc<dyn Backend>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/v1/status", get(status))
        .route("/v1/upstreams", get(upstreams))
        .route("/v1/streams", get(streams))
        .route("/v1/purge", post(purge))
        .route("/v1/purge/{id}", get(purged))
        .route("/v1/reload", post(reload))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(backend)
}

/// A response shows that the process is alive, which is all that a restart could fix.
async fn healthz() -> Response {
    uncached(Json(json!({ "status": "ok" })))
}

async fn readyz(State(backend): State<Arc<dyn Backend>>) -> Response {
    match backend.readiness() {
        Readiness::Ready => uncached(Json(json!({ "ready": true }))),
        reason => {
            let body = Json(json!({ "ready": false, "reason": reason.as_str() }));
            uncached((StatusCode::SERVICE_UNAVAILABLE, body))
        }
    }
}

async fn metrics(State(backend): State<Arc<dyn Backend>>) -> Response {
    uncached(([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], backend.metrics()))
}

async fn status(State(backend): State<Arc<dyn Backend>>) -> Response {
    uncached(Json(backend.status()))
}

async fn upstreams(State(backend): State<Arc<dyn Backend>>) -> Response {
    uncached(Json(backend.upstreams()))
}

async fn streams(State(backend): State<Arc<dyn Backend>>) -> Response {
    uncached(Json(backend.streams()))
}

/// Purges, and responds when that is done: a request that arrives later gets nothing from before.
async fn purge(State(backend): State<Arc<dyn Backend>>, body: Bytes) -> Response {
    let purging = tokio::task::spawn_blocking(move || backend.purge(&Order::parse(&body)?));
    match purging.await {
        Ok(Ok(report)) => uncached((StatusCode::ACCEPTED, Json(report))),
        Ok(Err(Invalid { field, message })) => {
            let error = json!({ "error": "invalid", "field": field, "message": message });
            uncached((StatusCode::BAD_REQUEST, Json(error)))
        }
        Err(_shutting_down) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// The report of an earlier purge.
async fn purged(State(backend): State<Arc<dyn Backend>>, Path(id): Path<String>) -> Response {
    match backend.purged(&id) {
        Some(report) => uncached(Json(report)),
        None => uncached((StatusCode::NOT_FOUND, Json(json!({ "error": "unknown_purge" })))),
    }
}

/// Reloads the configuration, and responds when it is in use. It goes on if the operator leaves.
async fn reload(State(backend): State<Arc<dyn Backend>>) -> Response {
    match tokio::task::spawn_blocking(move || backend.reload()).await {
        Ok(Ok(report)) => uncached(Json(report)),
        Ok(Err(Problem { file, line, column, message })) => {
            let error = json!({
                "error": "invalid", "file": file, "line": line, "column": column, "message": message,
            });
            uncached((StatusCode::UNPROCESSABLE_ENTITY, Json(error)))
        }
        Err(_shutting_down) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn not_found() -> Response {
    let routes = [
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/status",
        "/v1/upstreams",
        "/v1/streams",
        "/v1/purge",
        "/v1/purge/{id}",
        "/v1/reload",
    ];
    uncached((StatusCode::NOT_FOUND, Json(json!({ "error": "not_found", "routes": routes }))))
}

async fn method_not_allowed() -> Response {
    uncached((StatusCode::METHOD_NOT_ALLOWED, Json(json!({ "error": "method_not_allowed" }))))
}

/// Forbids caches to store a report: it is only true now.
fn uncached(report: impl IntoResponse) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], report).into_response()
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    struct Fake(Mutex<Readiness>);

    impl Backend for Fake {
        fn readiness(&self) -> Readiness {
            *self.0.lock()
        }

        fn status(&self) -> Value {
            json!({ "objects": 3 })
        }

        fn upstreams(&self) -> Value {
            json!([])
        }

        fn streams(&self) -> Value {
            json!({ "streams": [] })
        }

        fn metrics(&self) -> String {
            "tidegate_connections 1\n".to_owned()
        }

        fn purge(&self, _order: &Order) -> Result<Report, Invalid> {
            Err(Invalid { field: "files", message: "not here".to_owned() })
        }

        fn purged(&self, _id: &str) -> Option<Report> {
            None
        }

        fn reload(&self) -> Result<reload::Report, Problem> {
            let message = "unknown field".to_owned();
            Err(Problem { file: "edge.toml".to_owned(), line: Some(2), column: Some(1), message })
        }
    }

    /// The status code, and the whole response as text.
    async fn send(fake: &Arc<Fake>, method: &str, path: &str) -> (u16, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let backend: Arc<dyn Backend> = Arc::<Fake>::clone(fake);
        let viewer = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = format!("{method} {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut response = String::new();
            stream.read_to_string(&mut response).await.unwrap();
            response
        };
        tokio::select! {
            response = viewer => (response[9..12].parse().unwrap(), response),
            ended = axum::serve(listener, router(backend)) => panic!("the listener ended: {ended:?}"),
        }
    }

    fn body(response: &str) -> Value {
        serde_json::from_str(response.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    #[tokio::test]
    async fn readiness_has_a_reason_when_not_ready() {
        let fake = Arc::new(Fake(Mutex::new(Readiness::Ready)));
        assert_eq!(send(&fake, "GET", "/readyz").await.0, 200);
        for reason in [Readiness::Draining, Readiness::NoUpstream] {
            *fake.0.lock() = reason;
            let (code, response) = send(&fake, "GET", "/readyz").await;
            assert_eq!((code, &body(&response)["reason"]), (503, &json!(reason.as_str())));
            assert_eq!(send(&fake, "GET", "/healthz").await.0, 200);
        }
    }

    #[tokio::test]
    async fn metrics_are_text_and_status_is_json() {
        let fake = Arc::new(Fake(Mutex::new(Readiness::Ready)));
        let (code, response) = send(&fake, "GET", "/metrics").await;
        assert_eq!(code, 200);
        assert!(response.contains("content-type: text/plain; version=0.0.4"), "{response}");
        assert!(response.ends_with("\r\n\r\ntidegate_connections 1\n"), "{response}");
        let (code, response) = send(&fake, "GET", "/v1/status").await;
        assert_eq!((code, body(&response)), (200, json!({ "objects": 3 })));
        assert!(response.contains("cache-control: no-store"), "{response}");
    }

    #[tokio::test]
    async fn other_paths_and_methods_get_a_json_error() {
        let fake = Arc::new(Fake(Mutex::new(Readiness::Ready)));
        let (code, response) = send(&fake, "GET", "/nothing").await;
        assert_eq!((code, &body(&response)["error"]), (404, &json!("not_found")));
        let (code, response) = send(&fake, "POST", "/v1/purge").await;
        assert_eq!((code, &body(&response)["error"]), (400, &json!("invalid")));
        let (code, response) = send(&fake, "POST", "/v1/reload").await;
        let error = body(&response);
        assert_eq!((code, &error["line"], &error["column"]), (422, &json!(2), &json!(1)));
        let (code, response) = send(&fake, "POST", "/metrics").await;
        assert_eq!((code, &body(&response)["error"]), (405, &json!("method_not_allowed")));
    }
}
