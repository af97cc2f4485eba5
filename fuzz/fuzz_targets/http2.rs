//! Any bytes as the frames of a client over HTTP/2: a request that is passed on to an upstream over HTTP/1.1
//! is one request there, with the same fields, and its body ends where its length says.
#![no_main]

use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, header};
use libfuzzer_sys::fuzz_target;
use tidegate_headers::forwarding::Forwarding;
use tidegate_headers::hop;
use tidegate_hls::{QueryRules, Resource};
use tidegate_http1::{FIELDS_MAX, Framing, Limits, RequestHead, Room, content_length, lines};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fuzz_target!(|frames: &[u8]| {
    let input = [PREFACE, frames].concat();
    let transport = tokio::io::join(&input[..], tokio::io::sink());
    let mut context = Context::from_waker(Waker::noop());
    let mut handshake = Box::pin(h2::server::handshake(transport));
    let Poll::Ready(Ok(mut connection)) = handshake.as_mut().poll(&mut context) else { return };
    while let Poll::Ready(Some(Ok((request, _respond)))) = connection.poll_accept(&mut context) {
        check(&request.into_parts().0);
    }
});

fn check(request: &Parts) {
    let Ok(length) = content_length(&request.headers) else { return };
    let host = request.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| request.uri.authority().map(http::uri::Authority::as_str)).unwrap_or_default();
    let target = request.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let Ok(resource) = Resource::parse(host, target, &QueryRules::default()) else { return };
    let fill = Forwarding::default().fill_headers(&request.headers);
    assert!(!fill.contains_key(header::CONTENT_LENGTH));
    check_sent(request, &resource, &fill, Framing::Empty);
    let pass = hop::pass_headers(&request.headers);
    check_sent(request, &resource, &pass, length.map_or(Framing::Empty, Framing::Length));
}

/// The upstream reads what was written.
fn check_sent(request: &Parts, resource: &Resource, headers: &HeaderMap, framing: Framing) {
    if headers.len() >= FIELDS_MAX {
        return;
    }
    let sent = Bytes::from(write(request, resource, headers));
    let limits = Limits { head_bytes_max: sent.len(), fields_max: FIELDS_MAX };
    let mut room = Room::new();
    let Ok(Some(head)) = RequestHead::parse(&sent, limits, &mut room) else {
        panic!("{} is no request", sent.escape_ascii());
    };
    assert_eq!(head.len, sent.len());
    assert_eq!((head.method, head.target), (request.method.as_str(), &*resource.target()));
    let received = head.to_owned(&sent).unwrap();
    assert_eq!(received.framing, framing);
    let mut expected = headers.clone();
    expected.insert(header::HOST, resource.host.parse().unwrap());
    assert_eq!(received.headers, expected);
}

/// The head over HTTP/1.1.
fn write(request: &Parts, resource: &Resource, headers: &HeaderMap) -> Vec<u8> {
    let mut head = Vec::new();
    lines::request_line(&mut head, &request.method, &[&resource.target()]);
    lines::field(&mut head, &header::HOST, resource.host.as_bytes());
    lines::fields(&mut head, headers.iter());
    head.extend_from_slice(lines::END);
    head
}
