//! How a response is sent: through hyper, or past it when it must be wrong.

use std::fmt::Write as _;
use std::future::pending;
use std::io;
use std::sync::atomic::Ordering;

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Empty};

use crate::answer::Answer;
use crate::connection::RawConnection;
use crate::faults::effects::{Effects, Ending};
use crate::flow::{Body, Flow};
use crate::shared::Shared;

/// Sends the response through hyper, or past it when it must be wrong.
pub(super) async fn send(
    shared: &Shared,
    raw: RawConnection,
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
        return send_wrong(shared, &raw, &head(status, &headers, effects), flow, effects).await;
    }
    respond(status, headers, flow.into_body(raw))
}

fn respond(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Writes the response past hyper and ends the connection. Never returns: the end of the connection drops it.
async fn send_wrong(
    shared: &Shared,
    raw: &RawConnection,
    head: &str,
    flow: Flow,
    effects: &Effects,
) -> Response<Body> {
    raw.mute();
    if let Err(error) = write_wrong(raw, head, flow, effects).await {
        tracing::debug!(%error, "a client left before its response was broken");
    }
    match effects.ending {
        Ending::Reset(_) => {
            shared.resets.fetch_add(1, Ordering::Relaxed);
            raw.reset().await;
        }
        Ending::Whole | Ending::Close(_) => raw.close().await,
    }
    pending().await
}

async fn write_wrong(raw: &RawConnection, head: &str, mut flow: Flow, effects: &Effects) -> io::Result<()> {
    raw.write(head.as_bytes()).await?;
    while let Some(chunk) = flow.next().await {
        if effects.chunked {
            raw.write(format!("{:x}\r\n", chunk.len()).as_bytes()).await?;
        }
        raw.write(&chunk).await?;
        if effects.chunked {
            raw.write(b"\r\n").await?;
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
