//! The operators' listener: is the tier alive, is it ready, what does it hold, what has it counted.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::observe::label::label;

/// What the routes ask a tier.
pub trait Tier: Send + Sync {
    /// Whether it should be sent viewers.
    fn readiness(&self) -> Readiness;

    /// What it holds, what is filling, whom it asks.
    fn status(&self) -> Value;

    /// How those fare whom it asks.
    fn upstreams(&self) -> Value;

    /// Its metrics in the text format of Prometheus.
    fn metrics(&self) -> String;
}

label! {
    /// Whether a tier should be sent viewers.
    Readiness {
        /// Yes.
        Ready = "ready",
        /// Not any more: it finishes what is open.
        Draining = "draining",
        /// No source that it could ask is up.
        NoUpstream = "no_upstream",
    }
}

/// The routes of one tier. Every answer but `/metrics` is JSON, errors included.
pub fn router(tier: Arc<dyn Tier>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/v1/status", get(status))
        .route("/v1/upstreams", get(upstreams))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(tier)
}

/// The process answers: that is all a restart could change.
async fn healthz() -> Response {
    uncached(Json(json!({ "status": "ok" })))
}

async fn readyz(State(tier): State<Arc<dyn Tier>>) -> Response {
    match tier.readiness() {
        Readiness::Ready => uncached(Json(json!({ "ready": true }))),
        reason => {
            let body = Json(json!({ "ready": false, "reason": reason.as_str() }));
            uncached((StatusCode::SERVICE_UNAVAILABLE, body))
        }
    }
}

async fn metrics(State(tier): State<Arc<dyn Tier>>) -> Response {
    uncached(([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], tier.metrics()))
}

async fn status(State(tier): State<Arc<dyn Tier>>) -> Response {
    uncached(Json(tier.status()))
}

async fn upstreams(State(tier): State<Arc<dyn Tier>>) -> Response {
    uncached(Json(tier.upstreams()))
}

async fn not_found() -> Response {
    let routes = ["/healthz", "/readyz", "/metrics", "/v1/status", "/v1/upstreams"];
    uncached((StatusCode::NOT_FOUND, Json(json!({ "error": "not_found", "routes": routes }))))
}

async fn method_not_allowed() -> Response {
    uncached((StatusCode::METHOD_NOT_ALLOWED, Json(json!({ "error": "method_not_allowed" }))))
}

/// A reading is true now and not later.
fn uncached(answer: impl IntoResponse) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], answer).into_response()
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    struct Fake(Mutex<Readiness>);

    impl Tier for Fake {
        fn readiness(&self) -> Readiness {
            *self.0.lock()
        }

        fn status(&self) -> Value {
            json!({ "objects": 3 })
        }

        fn upstreams(&self) -> Value {
            json!([])
        }

        fn metrics(&self) -> String {
            "tidegate_connections 1\n".to_owned()
        }
    }

    /// The status code, and the whole answer as text.
    async fn ask(tier: &Arc<Fake>, method: &str, path: &str) -> (u16, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tier: Arc<dyn Tier> = Arc::<Fake>::clone(tier);
        let viewer = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = format!("{method} {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        tokio::select! {
            answer = viewer => (answer[9..12].parse().unwrap(), answer),
            ended = axum::serve(listener, router(tier)) => panic!("the listener ended: {ended:?}"),
        }
    }

    fn body(answer: &str) -> Value {
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    #[tokio::test]
    async fn readiness_tells_why_not() {
        let tier = Arc::new(Fake(Mutex::new(Readiness::Ready)));
        assert_eq!(ask(&tier, "GET", "/readyz").await.0, 200);
        for reason in [Readiness::Draining, Readiness::NoUpstream] {
            *tier.0.lock() = reason;
            let (code, answer) = ask(&tier, "GET", "/readyz").await;
            assert_eq!((code, &body(&answer)["reason"]), (503, &json!(reason.as_str())));
            assert_eq!(ask(&tier, "GET", "/healthz").await.0, 200);
        }
    }

    #[tokio::test]
    async fn metrics_are_text_and_status_is_json() {
        let tier = Arc::new(Fake(Mutex::new(Readiness::Ready)));
        let (code, answer) = ask(&tier, "GET", "/metrics").await;
        assert_eq!(code, 200);
        assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
        assert!(answer.ends_with("\r\n\r\ntidegate_connections 1\n"), "{answer}");
        let (code, answer) = ask(&tier, "GET", "/v1/status").await;
        assert_eq!((code, body(&answer)), (200, json!({ "objects": 3 })));
        assert!(answer.contains("cache-control: no-store"), "{answer}");
    }

    #[tokio::test]
    async fn other_paths_and_methods_get_a_json_error() {
        let tier = Arc::new(Fake(Mutex::new(Readiness::Ready)));
        let (code, answer) = ask(&tier, "GET", "/nothing").await;
        assert_eq!((code, &body(&answer)["error"]), (404, &json!("not_found")));
        let (code, answer) = ask(&tier, "POST", "/metrics").await;
        assert_eq!((code, &body(&answer)["error"]), (405, &json!("method_not_allowed")));
    }
}
