//! The representation that a hit on the fast path sends: body or gzip, whole or one range.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use tidegate_headers::range::Span;

use super::simple_head::SimpleHead;
use crate::answer::content;
use crate::answer::links::Linked;
use crate::answer::select::{self, Selected};
use crate::request::try_hit::Hit;
use crate::tier::Tier;

/// The selected representation, and the range of it that is sent.
#[derive(Debug)]
pub(super) struct Representation {
    pub(super) chunks: Arc<[Bytes]>,
    /// Bytes of the whole representation.
    pub(super) full_len: u64,
    /// The requested range; `None` for all bytes.
    pub(super) span: Option<Span>,
    pub(super) form: Form,
}

/// The form of the object that is sent.
#[derive(Debug)]
pub(super) enum Form {
    /// The body as it is stored.
    Stored,
    /// The body in gzip.
    Gzip,
    /// A playlist with a token in its links.
    Linked(Arc<Linked>),
}

impl Representation {
    /// `None` if the request needs more than one range or no satisfiable one, which the slow path serves.
    pub(super) fn of(tier: &Tier, simple_head: &SimpleHead<'_>, hit: &Hit<'_>) -> Option<Self> {
        let object = &hit.object;
        if hit.token.is_some()
            && let Some(linked) = Linked::of(object, hit.target.kind)
            && let Some(body) = hit.link().and_then(|link| linked.body(object, &link, simple_head.host))
        {
            // Its ranges are not those of the stored body, and its gzip form is not shared.
            let full_len = body.len() as u64;
            return Some(Self {
                chunks: Arc::from([body]),
                full_len,
                span: None,
                form: Form::Linked(linked),
            });
        }
        let coded = content::has_codings(tier, &hit.target.site, hit.target.kind, object)
            .then(|| content::gzip(tier, &simple_head.deciding, &hit.target.key, object))
            .flatten();
        if let Some(gzip) = coded {
            let full_len = gzip.len() as u64;
            return Some(Self { chunks: Arc::from([gzip]), full_len, span: None, form: Form::Gzip });
        }
        let chunks = Arc::clone(object.body.whole()?);
        let full_len = object.body.full_len()?;
        let ranges_max = tier.settings().viewers.ranges_max;
        let ranges = select::ranges(&simple_head.method, &simple_head.deciding, ranges_max, object);
        let span = match ranges.map(|ranges| select::resolve(&ranges, full_len, object)) {
            None | Some(Selected::Whole(_)) => None,
            Some(Selected::One(span, _)) => Some(span),
            Some(Selected::Follow(_) | Selected::Many(..) | Selected::Unsatisfiable(_)) => return None,
        };
        Some(Self { chunks, full_len, span, form: Form::Stored })
    }

    pub(super) fn status(&self) -> StatusCode {
        if self.span.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK }
    }
}
