//! One request's way: count it, meet its faults, find its object, answer it, or break it.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderValue, RETRY_AFTER,
    SERVER,
};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use tokio::time::sleep;

use crate::answer::{Answer, Refusal, put};
use crate::clock::http_date;
use crate::faults::effects::{Effects, Ending};
use crate::flow::{Body, Flow};
use crate::objects::{File, SyntheticObject};
use crate::playlist::skewed;
use crate::shared::Shared;
use crate::stream::Kind;
use crate::wire::Line;

mod steer;

/// Serves one request on its connection.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    line: Line,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let ticket = shared.ledger.arrived(request.method(), request.uri(), request.version(), request.headers());
    let mut effects = shared.faults.meet(request.uri().path());
    if effects.down {
        return reset(&shared, &line).await;
    }
    let version = request.version();
    if effects.early_hints && version == Version::HTTP_11 && line.write(EARLY_HINTS).await.is_err() {
        return reset(&shared, &line).await;
    }
    sleep(effects.latency).await;
    if let Some(gate) = &effects.head_gate {
        gate.pass().await;
    }
    if request.uri().path() == "/echo" && effects.status.is_none() {
        shared.ledger.answered(&ticket, StatusCode::OK);
        return Ok(echo(&shared, request, &effects));
    }
    let is_head = request.method() == Method::HEAD;
    let mut answer = answer(&shared, request, &mut effects).await;
    shared.ledger.answered(&ticket, answer.status);
    finish(&shared, &mut answer.headers, &effects);
    Ok(send(&shared, line, version, is_head, answer, &effects).await)
}

const EARLY_HINTS: &[u8] = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style\r\n\r\n";

async fn answer(shared: &Shared, request: Request<Incoming>, effects: &mut Effects) -> Answer {
    if let Some(status) = effects.status {
        let answer = Answer::text(status, &format!("{status} on command"));
        return match effects.retry_after {
            Some(seconds) => answer.with(RETRY_AFTER, &seconds.to_string()),
            None => answer,
        };
    }
    let path = request.uri().path();
    if *request.method() == Method::OPTIONS {
        return Answer::bare(StatusCode::NO_CONTENT)
            .with(ALLOW, METHODS)
            .with(ACCESS_CONTROL_ALLOW_METHODS, METHODS)
            .with(ACCESS_CONTROL_ALLOW_HEADERS, "*");
    }
    if path.starts_with("/ingest/") {
        return ingest(shared, request).await;
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return not_allowed("GET, HEAD, OPTIONS");
    }
    read(shared, &request, effects).unwrap_or_else(Answer::from)
}

const METHODS: &str = "GET, HEAD, OPTIONS, PUT, POST, DELETE";

/// GET and HEAD of everything that the stub makes by itself.
fn read(shared: &Shared, request: &Request<Incoming>, effects: &mut Effects) -> Result<Answer, Refusal> {
    let path = request.uri().path();
    let (root, rest) = path.strip_prefix('/').and_then(|path| path.split_once('/')).unwrap_or((path, ""));
    let kind = match root {
        "live" => Kind::Live,
        "event" => Kind::Event,
        "vod" => Kind::Vod,
        "bytes" => {
            let object = SyntheticObject::parse(path, rest, &shared.config)?;
            return steer::answer(shared, object, request, effects);
        }
        "/healthz" => return Ok(Answer::text(StatusCode::OK, "ok")),
        _ => {
            let line = "there are /live/, /event/, /vod/, /bytes/, /ingest/, /echo and /healthz";
            return Err(Refusal::new(StatusCode::NOT_FOUND, line));
        }
    };
    let object = File::parse(kind, rest)?.object(&shared.config, &shared.view(effects), effects)?;
    Ok(object.answer(request.method(), request.headers()))
}

async fn ingest(shared: &Shared, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    if path.len() > 1024 || path.ends_with('/') || path.split('/').any(|part| part == "..") {
        return Answer::text(
            StatusCode::BAD_REQUEST,
            "an object's path is /ingest/{folders}/{file}, at most 1024 bytes",
        );
    }
    match *request.method() {
        Method::GET | Method::HEAD => match shared.shelf.object(&path, &shared.config.live) {
            Some(object) => object.answer(request.method(), request.headers()),
            None => Answer::text(StatusCode::NOT_FOUND, "nothing complete has been pushed here"),
        },
        Method::PUT | Method::POST => {
            let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let content_type = content_type.map(str::to_owned);
            shared.shelf.put(&path, content_type.as_deref(), request.into_body(), shared.clock.now()).await
        }
        Method::DELETE => shared.shelf.delete(&path),
        _ => not_allowed(METHODS),
    }
}

fn not_allowed(methods: &str) -> Answer {
    Answer::text(StatusCode::METHOD_NOT_ALLOWED, &format!("allowed here: {methods}")).with(ALLOW, methods)
}

/// Sends a request's body back while it arrives.
fn echo(shared: &Shared, request: Request<Incoming>, effects: &Effects) -> Response<Body> {
    let mut headers = HeaderMap::new();
    put(&mut headers, http::HeaderName::from_static("x-method"), request.method().as_str());
    if let Some(content_type) = request.headers().get(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, content_type.clone());
    }
    finish(shared, &mut headers, effects);
    let mut response = Response::new(request.into_body().map_err(io::Error::other).boxed_unsync());
    *response.headers_mut() = headers;
    response
}

/// The headers that every answer has, then those that a fault wants.
fn finish(shared: &Shared, headers: &mut HeaderMap, effects: &Effects) {
    headers.insert(SERVER, HeaderValue::from_static("tidegate-origin-stub"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
    put(headers, DATE, &http_date(skewed(shared.clock.now(), effects.skew_ms)));
    for (name, value) in &effects.headers {
        match value {
            Some(value) => drop(headers.insert(name, value.clone())),
            None => drop(headers.remove(name)),
        }
    }
}

/// Sends the answer through hyper, or past it when it is to be wrong.
async fn send(
    shared: &Shared,
    line: Line,
    version: Version,
    is_head: bool,
    answer: Answer,
    effects: &Effects,
) -> Response<Body> {
    let Answer { status, mut headers, content, body } = answer;
    let length = body.end - body.start;
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if !bodiless && !effects.chunked {
        headers.insert(CONTENT_LENGTH, effects.wrong_length.unwrap_or(length).into());
    }
    if bodiless || is_head {
        return respond(status, headers, Empty::new().map_err(|never| match never {}).boxed_unsync());
    }
    let flow = Flow::new(content, body, effects);
    let is_wrong = effects.ending != Ending::Whole || (effects.wrong_length.is_some() && !effects.chunked);
    if is_wrong && version < Version::HTTP_2 {
        return send_wrong(shared, &line, &head(status, &headers, effects), flow, effects).await;
    }
    respond(status, headers, flow.into_body(line))
}

fn respond(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Writes the answer past hyper and ends the connection. Never returns: the connection's end drops it.
async fn send_wrong(
    shared: &Shared,
    line: &Line,
    head: &str,
    flow: Flow,
    effects: &Effects,
) -> Response<Body> {
    line.mute();
    if let Err(error) = write_wrong(line, head, flow, effects).await {
        tracing::debug!(%error, "a client left before its answer was broken");
    }
    match effects.ending {
        Ending::Reset(_) => {
            shared.resets.fetch_add(1, Ordering::Relaxed);
            line.reset().await;
        }
        Ending::Whole | Ending::Close(_) => line.close().await,
    }
    pending().await
}

async fn write_wrong(line: &Line, head: &str, mut flow: Flow, effects: &Effects) -> io::Result<()> {
    line.write(head.as_bytes()).await?;
    while let Some(piece) = flow.next().await {
        if effects.chunked {
            line.write(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
        }
        line.write(&piece).await?;
        if effects.chunked {
            line.write(b"\r\n").await?;
        }
    }
    Ok(())
}

/// An HTTP/1.1 head as text.
fn head(status: StatusCode, headers: &HeaderMap, effects: &Effects) -> String {
    let mut text = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in headers {
        // Writing to a String cannot fail.
        let written = write!(text, "{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes()));
        debug_assert!(written.is_ok(), "a String takes any text");
    }
    if effects.chunked {
        text.push_str("transfer-encoding: chunked\r\n");
    }
    text.push_str("\r\n");
    text
}

/// Resets the connection. Never returns: the connection's end drops it.
async fn reset(shared: &Shared, line: &Line) -> Result<Response<Body>, Infallible> {
    shared.resets.fetch_add(1, Ordering::Relaxed);
    line.reset_now();
    pending().await
}
