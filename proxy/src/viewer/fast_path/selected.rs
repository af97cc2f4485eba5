//! Which bytes of a cached object a hit on the fast path sends.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use tidegate_headers::range::{self, Resolved, Span};

use super::simple_head::SimpleHead;
use crate::answer::content;
use crate::request::try_hit::Hit;
use crate::tier::Tier;

/// The selected representation, and the range of it that is sent.
#[derive(Debug)]
pub(super) struct Selected {
    pub(super) chunks: Arc<[Bytes]>,
    /// Bytes of the whole representation.
    pub(super) full_len: u64,
    /// The requested range; `None` for all bytes.
    pub(super) span: Option<Span>,
    pub(super) is_gzip: bool,
}

impl Selected {
    /// `None` if the request needs more than one range or no satisfiable one, which the slow path serves.
    pub(super) fn of(tier: &Tier, simple_head: &SimpleHead<'_>, hit: &Hit) -> Option<Self> {
        let object = &hit.object;
        let coded = content::has_codings(tier, &hit.target.site, hit.target.kind, object)
            .then(|| content::gzip(tier, &simple_head.deciding, &hit.target.key, object))
            .flatten();
        if let Some(gzip) = coded {
            let full_len = gzip.len() as u64;
            return Some(Self { chunks: Arc::from([gzip]), full_len, span: None, is_gzip: true });
        }
        let chunks = Arc::clone(object.body.whole()?);
        let full_len = object.body.full_len()?;
        let ranges = simple_head.deciding.get(header::RANGE).filter(|_| simple_head.method == Method::GET);
        let ranges =
            ranges.and_then(|range| range::parse(range.to_str().ok()?, tier.settings().viewers.ranges_max));
        let span = match ranges.map(|ranges| ranges.resolve(full_len)) {
            None => None,
            Some(Resolved::One(span)) => Some(span),
            Some(Resolved::Many(_) | Resolved::Unsatisfiable) => return None,
        };
        Some(Self { chunks, full_len, span, is_gzip: false })
    }

    pub(super) fn status(&self) -> StatusCode {
        if self.span.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK }
    }
}
