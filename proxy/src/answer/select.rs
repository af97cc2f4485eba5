//! Preconditions, and the selection of the bytes of an object that a response has (RFC 9110 section 14).

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tidegate_cache::Object;
use tidegate_headers::conditional::{self, Outcome, Validators};
use tidegate_headers::range::{self, Growing, Multipart, Ranges, Resolved, Span};

use crate::viewer::client::Client;
use crate::viewer::unsent::Unsent;

/// The selected bytes.
#[derive(Debug)]
pub(crate) enum Selected {
    /// The whole object, and its length if known.
    Whole(Option<u64>),
    /// One range, and the length of the object if known.
    One(Span, Option<u64>),
    /// From a position to the end of a growing object; the span has the end that the viewer requested.
    Follow(Span),
    /// Several ranges, as multipart/byteranges.
    Many(Vec<Span>, Multipart),
    /// A range past the end of an object of this length.
    Unsatisfiable(u64),
}

/// A part of a body: bytes of the framing, then a span of the object.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) before: Bytes,
    /// Start and end (exclusive). Without an end, it is the end of the body.
    pub(crate) span: Option<(u64, Option<u64>)>,
}

/// Selects the bytes. Waits for the body to grow if the selection depends on it.
pub(crate) async fn select(
    client: &mut Client,
    ranges_max: usize,
    object: &Object,
) -> Result<Selected, Unsent> {
    let Some(ranges) = ranges(client.method(), client.headers(), ranges_max, object) else {
        return Ok(Selected::Whole(object.body.full_len()));
    };
    if let Some(length) = object.body.full_len() {
        return Ok(resolve(&ranges, length, object));
    }
    match ranges.resolve_growing() {
        Growing::Span(span) => {
            // The head is sent when the last byte of the range has arrived. If the body ends before, its
            // length is known.
            wait_for_len(client, object, span.end_inclusive.saturating_add(1)).await?;
            match object.body.full_len() {
                Some(length) => Ok(resolve(&ranges, length, object)),
                None => Ok(Selected::One(span, None)),
            }
        }
        Growing::Follow(span) => {
            // When the first byte of the range has arrived, the range begins within the object.
            wait_for_len(client, object, span.start.saturating_add(1)).await?;
            match object.body.full_len() {
                Some(length) => Ok(resolve(&ranges, length, object)),
                None => Ok(Selected::Follow(span)),
            }
        }
        Growing::Wait => Ok(Selected::Whole(None)),
    }
}

/// The outcome of the preconditions of a request, for a representation with these validators and status. They
/// apply to what a request without them would get with a 2xx (RFC 9110 section 13.2.1).
pub(crate) fn precondition(
    method: &Method,
    request: &HeaderMap,
    status: StatusCode,
    representation: &Validators<'_>,
) -> Outcome {
    if !matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
        return Outcome::Proceed;
    }
    conditional::evaluate(request, method, representation)
}

/// The requested ranges that apply: only of a GET, only of a 200, only if `If-Range` holds.
pub(crate) fn ranges(
    method: &Method,
    request: &HeaderMap,
    ranges_max: usize,
    object: &Object,
) -> Option<Ranges> {
    if *method != Method::GET || object.head.status != StatusCode::OK {
        return None;
    }
    let ranges = range::parse(request.get(header::RANGE)?.to_str().ok()?, ranges_max)?;
    let holds = request
        .get(header::IF_RANGE)
        .is_none_or(|condition| range::if_range(condition, &Validators::of(&object.head.headers)));
    holds.then_some(ranges)
}

/// The bytes that `ranges` select of an object of this length.
pub(crate) fn resolve(ranges: &Ranges, length: u64, object: &Object) -> Selected {
    match ranges.resolve(length) {
        Resolved::Unsatisfiable => Selected::Unsatisfiable(length),
        Resolved::One(span) => Selected::One(span, Some(length)),
        Resolved::Many(spans) => {
            let content_type = object.head.headers.get(header::CONTENT_TYPE).cloned();
            Selected::Many(spans, Multipart::new(content_type, length))
        }
    }
}

async fn wait_for_len(client: &mut Client, object: &Object, length: u64) -> Result<(), Unsent> {
    tokio::select! {
        biased;
        reached = object.body.wait_for_len(length) => reached.map_err(|_broken| Unsent),
        () = client.until_gone() => Err(Unsent),
    }
    .inspect_err(|Unsent| client.mark_broken())
}

impl Selected {
    /// The status of the response; `whole` is that of the object.
    pub(crate) fn status(&self, whole: StatusCode) -> StatusCode {
        match self {
            Self::Whole(_) => whole,
            Self::One(..) | Self::Follow(_) | Self::Many(..) => StatusCode::PARTIAL_CONTENT,
            Self::Unsatisfiable(_) => StatusCode::RANGE_NOT_SATISFIABLE,
        }
    }

    /// Sets the header fields that describe the selection.
    pub(crate) fn describe(&self, headers: &mut HeaderMap) {
        let length = match self {
            Self::Whole(length) => *length,
            Self::One(span, length) => {
                headers.insert(header::CONTENT_RANGE, span.content_range(*length));
                Some(span.len())
            }
            // RFC 8673 section 2.2: the last position is repeated, and the length is not known.
            Self::Follow(span) => {
                headers.insert(header::CONTENT_RANGE, span.content_range(None));
                None
            }
            Self::Many(spans, multipart) => {
                headers.insert(header::CONTENT_TYPE, multipart.content_type());
                Some(multipart.content_length(spans))
            }
            Self::Unsatisfiable(length) => {
                headers.insert(header::CONTENT_RANGE, range::unsatisfied_content_range(*length));
                Some(0)
            }
        };
        if let Some(length) = length {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
    }

    /// The parts of the body, in order.
    pub(crate) fn parts(self) -> Vec<Part> {
        match self {
            Self::Whole(length) => vec![Part { before: Bytes::new(), span: Some((0, length)) }],
            Self::One(span, _) => vec![Part { before: Bytes::new(), span: Some(bounds(&span)) }],
            Self::Follow(span) => vec![Part { before: Bytes::new(), span: Some((span.start, None)) }],
            Self::Many(spans, multipart) => {
                let parts = spans
                    .iter()
                    .map(|span| Part { before: multipart.part_head(span), span: Some(bounds(span)) });
                parts.chain([Part { before: multipart.close(), span: None }]).collect()
            }
            Self::Unsatisfiable(_) => Vec::new(),
        }
    }
}

fn bounds(span: &Span) -> (u64, Option<u64>) {
    (span.start, Some(span.end_inclusive.saturating_add(1)))
}
