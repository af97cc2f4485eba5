//! The admin listener.

use serde_json::{Value, json};

use crate::harness::{End, Origin, Reply, ask, origin};

async fn admin(origin: &Origin, method: &str, path: &str, body: &str) -> (u16, Value) {
    let headers = format!("Content-Length: {}\r\n", body.len());
    let reply: Reply = ask(origin.admin, method, path, &headers, body).await;
    (reply.status, serde_json::from_slice(&reply.body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn a_fault_is_injected_listed_and_removed() {
    let origin = origin().await;
    let order = r#"{"match": "/bytes/*", "cut_at": 5}"#;
    assert_eq!(admin(&origin, "POST", "/v1/faults", order).await, (201, json!({ "id": 1 })));
    assert_eq!(origin.get("/bytes/10").await.end, End::Reset);
    let (_, listed) = admin(&origin, "GET", "/v1/faults", "").await;
    assert_eq!(listed["faults"][0]["used"], 1);
    assert_eq!(listed["faults"][0]["fault"]["cut_at"], 5);
    assert_eq!(admin(&origin, "DELETE", "/v1/faults/1", "").await.0, 204);
    assert_eq!(admin(&origin, "DELETE", "/v1/faults/1", "").await.0, 404);
    assert_eq!(origin.get("/bytes/10").await.end, End::Closed);
    admin(&origin, "POST", "/v1/faults", r#"{"status": 500}"#).await;
    assert_eq!(admin(&origin, "DELETE", "/v1/faults", "").await.0, 204);
    assert_eq!(origin.get("/bytes/10").await.status, 200);
}

#[tokio::test]
async fn an_invalid_fault_is_refused_with_the_reason() {
    let origin = origin().await;
    for (order, why) in [
        ("{", "line 1"),
        (r#"{"cutat": 5}"#, "cutat"),
        (r#"{"match": "/x"}"#, "no effect"),
        (r#"{"status": 99}"#, "200 to 599"),
    ] {
        let (status, said) = admin(&origin, "POST", "/v1/faults", order).await;
        assert_eq!(status, 400, "{order}");
        assert!(said["error"].as_str().unwrap().contains(why), "{said}");
    }
}

#[tokio::test]
async fn the_listener_is_closed_before_the_response_to_its_fault() {
    let origin = origin().await;
    admin(&origin, "POST", "/v1/faults", r#"{"down": "refuse"}"#).await;
    tokio::net::TcpStream::connect(origin.addr).await.unwrap_err();
    admin(&origin, "DELETE", "/v1/faults", "").await;
    assert_eq!(origin.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_hold_is_released_by_name() {
    let origin = origin().await;
    admin(&origin, "POST", "/v1/faults", r#"{"match": "/bytes/10", "hold": "x"}"#).await;
    let (reply, ()) = tokio::join!(origin.get("/bytes/10"), async {
        origin.control.waiting("x", 1).await;
        let (_, holds) = admin(&origin, "GET", "/v1/holds", "").await;
        assert_eq!(holds, json!({ "holds": [{ "name": "x", "waiting": 1 }] }));
        assert_eq!(admin(&origin, "DELETE", "/v1/holds/x", "").await, (200, json!({ "released": 1 })));
    });
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn requests_are_reported_and_forgotten() {
    let origin = origin().await;
    origin.ask("GET", "/vod/a/ts/144p/0.ts", "Range: bytes=0-1\r\nVia: a\r\nVia: b\r\n").await;
    let (_, report) = admin(&origin, "GET", "/v1/requests", "").await;
    assert_eq!(
        (&report["total"], &report["segments"], &report["with_range"]),
        (&json!(1), &json!(1), &json!(1))
    );
    assert_eq!(report["paths"]["/vod/a/ts/144p/0.ts"]["statuses"], json!({ "206": 1 }));
    assert_eq!(report["recent"][0]["headers"]["via"], "a, b");
    assert_eq!(report["connections"]["accepted"], 1);
    assert_eq!(admin(&origin, "DELETE", "/v1/requests", "").await.0, 204);
    assert_eq!(admin(&origin, "GET", "/v1/requests", "").await.1["total"], 0);
}

#[tokio::test]
async fn the_clock_is_stopped_and_moved() {
    let origin = origin().await;
    let before = origin.control.now();
    let (status, said) = admin(&origin, "POST", "/v1/clock", r#"{"advance_ms": 2000}"#).await;
    assert_eq!((status, origin.control.now()), (200, before + std::time::Duration::from_secs(2)));
    assert!(said["now"].as_f64().unwrap() > 1.7e9);
    assert_eq!(admin(&origin, "POST", "/v1/clock", r#"{"advance": 1}"#).await.0, 400);
    assert_eq!(admin(&origin, "GET", "/healthz", "").await.0, 200);
}
