//! Start and end.

use std::time::Duration;

use tidegate_origin_stub::{Fault, OriginStub};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::harness::{End, Origin, PATIENCE, ask, config, drain, origin, origin_with};

#[tokio::test]
async fn a_port_in_use_is_named() {
    let origin = origin().await;
    for which in ["listen", "admin"] {
        let mut config = config();
        let taken = if which == "listen" { &mut config.listen } else { &mut config.admin };
        *taken = origin.addr;
        let error = format!("{:#}", OriginStub::load(config).await.unwrap_err());
        assert!(error.contains(&origin.addr.to_string()), "{error}");
        assert!(error.contains(which), "{error}");
    }
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed() {
    let mut config = config();
    config.idle_timeout = Duration::from_millis(50);
    let origin = origin_with(config).await;
    for begun in ["", "GET /bytes/5 HTTP/1.1\r\nHo"] {
        let mut stream = origin.connect().await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        assert_eq!(drain(&mut stream).await, (Vec::new(), End::Closed), "{begun}");
    }
}

#[tokio::test]
async fn shutdown_ends_the_stub_even_while_a_response_is_blocked() {
    let Origin { addr, control, shutdown, running, .. } = origin().await;
    control.fault(Fault::on("*").hold("gate")).unwrap();
    let (reply, ended) = tokio::join!(ask(addr, "GET", "/bytes/5", "", ""), async {
        control.waiting("gate", 1).await;
        shutdown.cancel();
        timeout(PATIENCE, running).await
    });
    assert_eq!(reply.status, 0);
    ended.unwrap().unwrap().unwrap();
    tokio::net::TcpStream::connect(addr).await.unwrap_err();
}
