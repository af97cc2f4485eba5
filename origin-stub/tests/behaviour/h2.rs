//! The same over HTTP/2 without TLS.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tidegate_origin_stub::{Fault, synthetic_bytes};
use tokio_util::task::TaskTracker;

use crate::harness::{Origin, origin};

async fn connect(origin: &Origin) -> SendRequest<Empty<Bytes>> {
    let stream = TokioIo::new(origin.connect().await);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    TaskTracker::new().spawn(connection);
    sender
}

/// The bytes of the body, and whether it ended completely.
async fn get(sender: &mut SendRequest<Empty<Bytes>>, path: &str) -> (u16, Vec<u8>, bool) {
    let request = Request::get(format!("http://origin{path}")).body(Empty::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let (status, mut body) = (response.status().as_u16(), response.into_body());
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(frame.data_ref().unwrap()),
            Err(_) => return (status, bytes, false),
        }
    }
    (status, bytes, true)
}

#[tokio::test]
async fn a_stream_is_reset_at_its_byte_and_the_connection_stays_open() {
    let origin = origin().await;
    let mut sender = connect(&origin).await;
    for bytes in [10, 300_000, 1_000_000] {
        origin.control.fault(Fault::on("/bytes/*").cut_at(bytes).times(1)).unwrap();
        let expected = synthetic_bytes("/bytes/1048576", 0..bytes);
        assert_eq!(get(&mut sender, "/bytes/1048576").await, (200, expected.to_vec(), false));
    }
    let whole = synthetic_bytes("/bytes/1048576", 0..1 << 20);
    assert_eq!(get(&mut sender, "/bytes/1048576").await, (200, whole.to_vec(), true));
    assert_eq!(origin.control.connections().accepted, 1);
    assert_eq!(origin.control.seen("/bytes/*")[0].version, "HTTP/2.0");
}

#[tokio::test]
async fn blocked_streams_do_not_block_each_other() {
    let origin = origin().await;
    let mut sender = connect(&origin).await;
    origin.control.fault(Fault::on("/bytes/1").hold("gate")).unwrap();
    let mut other = sender.clone();
    let (blocked, ()) = tokio::join!(get(&mut sender, "/bytes/1"), async {
        origin.control.waiting("gate", 1).await;
        assert_eq!(get(&mut other, "/bytes/2").await.0, 200);
        origin.control.release("gate");
    });
    assert_eq!(blocked.0, 200);
}

#[tokio::test]
async fn an_origin_that_goes_down_breaks_blocked_streams() {
    let origin = origin().await;
    let mut sender = connect(&origin).await;
    origin.control.fault(Fault::on("/bytes/1").hold("gate")).unwrap();
    let request = Request::get("http://origin/bytes/1").body(Empty::new()).unwrap();
    let (answer, ()) = tokio::join!(sender.send_request(request), async {
        origin.control.waiting("gate", 1).await;
        origin.control.fault(Fault::on("*").down()).unwrap();
    });
    answer.unwrap_err();
}
