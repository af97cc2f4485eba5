//! An origin that is down.

use tidegate_origin_stub::Fault;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::harness::{End, drain, origin};

const PATH: &str = "/bytes/1000";

#[tokio::test]
async fn an_origin_that_is_down_resets_every_connection_and_returns() {
    let origin = origin().await;
    let mut idle = origin.connect().await;
    let mut blocked = origin.connect().await;
    origin.control.fault(Fault::on("/bytes/*").hold("gate").times(1)).unwrap();
    blocked.write_all(b"GET /bytes/1000 HTTP/1.1\r\nHost: origin\r\n\r\n").await.unwrap();
    origin.control.waiting("gate", 1).await;
    origin.control.fault(Fault::on("*").down()).unwrap();
    origin.control.listener_updated().await;
    assert_eq!(drain(&mut blocked).await, (Vec::new(), End::Reset));
    assert_eq!(drain(&mut idle).await, (Vec::new(), End::Reset));
    let mut fresh = origin.connect().await;
    assert_eq!(drain(&mut fresh).await, (Vec::new(), End::Reset));
    assert!(origin.control.connections().reset >= 3);
    origin.control.clear();
    origin.control.listener_updated().await;
    assert_eq!(origin.get(PATH).await.status, 200);
}

#[tokio::test]
async fn an_origin_that_refuses_has_no_listener_and_reopens_its_port() {
    let origin = origin().await;
    let id = origin.control.fault(Fault::on("*").refuse()).unwrap();
    origin.control.listener_updated().await;
    let error = TcpStream::connect(origin.addr).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(origin.control.remove(id));
    origin.control.listener_updated().await;
    assert_eq!(origin.get(PATH).await.status, 200);
}

#[tokio::test]
async fn one_path_may_be_down_while_others_are_up() {
    let origin = origin().await;
    origin.control.fault(Fault::on(PATH).down()).unwrap();
    let reply = origin.get(PATH).await;
    assert_eq!((reply.status, reply.body.len(), reply.end), (0, 0, End::Reset));
    assert_eq!(origin.get("/bytes/5").await.status, 200);
    assert_eq!(origin.control.requests(PATH), 1);
}
