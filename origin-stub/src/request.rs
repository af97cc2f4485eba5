//! The path of one request: count it, apply its faults, find its object, respond, or break the response.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW, CONTENT_TYPE, DATE, HeaderValue, RETRY_AFTER, SERVER,
};
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, Version};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::sleep;

use crate::answer::{Answer, Refusal, put};
use crate::clock::http_date;
use crate::connection::RawConnection;
use crate::counts::CountedRequest;
use crate::faults::effects::Effects;
use crate::flow::Body;
use crate::objects::{File, SyntheticObject};
use crate::playlist::skewed;
use crate::shared::Shared;
use crate::stream::Kind;

mod low_latency;
mod send;
mod steer;

/// A request's response under way, as hyper requires it.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Serves one request on its connection. It is counted, and its faults are applied, before this returns.
pub(crate) fn serve(shared: &Arc<Shared>, raw: &RawConnection, request: Request<Incoming>) -> Answering {
    raw.note_use();
    let counted =
        shared.ledger.arrived(request.method(), request.uri(), request.version(), request.headers());
    let effects = shared.faults.meet(request.uri().path());
    let exchange = Exchange { shared: Arc::clone(shared), raw: raw.clone(), counted, effects };
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Box::pin(async move { Ok(exchange.go(request).await) });
    }
    // ffmpeg closes its connection immediately after an upload or a DELETE and reads no response. hyper then
    // drops the request, so the work runs in another task.
    let over = raw.over().clone();
    let going = async move { over.run_until_cancelled(exchange.go(request)).await };
    let going = shared.tasks.spawn(shared.killed.clone().run_until_cancelled_owned(going));
    Box::pin(async move {
        match going.await {
            Ok(Some(Some(response))) => Ok(response),
            // The connection is closed.
            _ => pending().await,
        }
    })
}

/// One request, its faults, and its connection.
struct Exchange {
    shared: Arc<Shared>,
    raw: RawConnection,
    counted: CountedRequest,
    effects: Effects,
}

impl Exchange {
    async fn go(mut self, request: Request<Incoming>) -> Response<Body> {
        if self.effects.down {
            return self.reset().await;
        }
        let version = request.version();
        if self.effects.early_hints
            && version == Version::HTTP_11
            && self.raw.write(EARLY_HINTS).await.is_err()
        {
            return self.reset().await;
        }
        sleep(self.effects.latency).await;
        if let Some(gate) = &self.effects.head_gate {
            gate.pass().await;
        }
        if request.uri().path() == "/echo" && self.effects.status.is_none() {
            self.shared.ledger.answered(&self.counted, StatusCode::OK);
            return echo(&self.shared, request, &self.effects);
        }
        let is_head = request.method() == Method::HEAD;
        let mut answer = self.answer(request).await;
        self.shared.ledger.answered(&self.counted, answer.status);
        finish(&self.shared, &mut answer.headers, &self.effects);
        send::send(&self.shared, self.raw, version, is_head, answer, &self.effects).await
    }

    async fn answer(&mut self, request: Request<Incoming>) -> Answer {
        if let Some(status) = self.effects.status {
            let answer = Answer::text(status, &format!("{status} on command"));
            return match self.effects.retry_after {
                Some(seconds) => answer.with(RETRY_AFTER, &seconds.to_string()),
                None => answer,
            };
        }
        if *request.method() == Method::OPTIONS {
            return Answer::bare(StatusCode::NO_CONTENT)
                .with(ALLOW, METHODS)
                .with(ACCESS_CONTROL_ALLOW_METHODS, METHODS)
                .with(ACCESS_CONTROL_ALLOW_HEADERS, "*");
        }
        if request.uri().path().starts_with("/ingest/") {
            return ingest(&self.shared, request).await;
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return not_allowed("GET, HEAD, OPTIONS");
        }
        let answer = match request.uri().path().strip_prefix("/ll/") {
            Some(rest) => low_latency::answer(&self.shared, &request, rest, &mut self.effects).await,
            None => read(&self.shared, &request, &mut self.effects),
        };
        answer.unwrap_or_else(Answer::from)
    }

    /// Resets the connection. Never returns: the end of the connection drops it.
    async fn reset(&self) -> Response<Body> {
        self.shared.resets.fetch_add(1, Ordering::Relaxed);
        self.raw.reset_now();
        pending().await
    }
}

const EARLY_HINTS: &[u8] = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style\r\n\r\n";

const METHODS: &str = "GET, HEAD, OPTIONS, PUT, POST, DELETE";

/// GET and HEAD of everything that the stub makes itself.
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
            let text = "there are /live/, /ll/, /event/, /vod/, /bytes/, /ingest/, /echo and /healthz";
            return Err(Refusal::new(StatusCode::NOT_FOUND, text));
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
    put(&mut headers, HeaderName::from_static("x-method"), request.method().as_str());
    if let Some(content_type) = request.headers().get(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, content_type.clone());
    }
    finish(shared, &mut headers, effects);
    let mut response = Response::new(request.into_body().map_err(io::Error::other).boxed_unsync());
    *response.headers_mut() = headers;
    response
}

/// The headers of every response, then those that a fault sets.
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
