//! Mid-body rescue: an upstream breaks at byte k, another one resumes from byte k.
//!
//! Viewers have received the first k bytes of one object, so the rest must be of the very same object. That
//! is only certain with a strong validator: a strong entity tag, or a modification date together with the
//! length. Without one the body breaks off for good.

use std::ops::RangeInclusive;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::time::Instant;

use crate::error::UpstreamError;
use crate::fetch::attempts::Attempts;
use crate::fetch::extent::content_range;
use crate::fetch::fetch_job::FetchJob;
use crate::fetch::in_flight::InFlight;
use crate::fetch::min_rate::Meter;
use crate::fetch::response::UpstreamResponse;
use crate::request::UpstreamRequest;
use crate::upstream::Upstream;

/// The validators of the rest of a body, and the candidates for it.
#[derive(Debug)]
pub(crate) struct Rescue<'a> {
    job: &'a FetchJob,
    original: Original,
    /// The slice that the body is; `None` if it is the whole resource.
    span: Option<RangeInclusive<u64>>,
    /// The name of the upstream that responded.
    responder: Arc<str>,
    /// How many candidates had been passed by then.
    position: usize,
    requests_left: usize,
}

/// The validators of the object that is being served.
#[derive(Debug)]
struct Original {
    etag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
    length: Option<u64>,
}

impl<'a> Rescue<'a> {
    /// For a fill that received `response` from the last of its `attempts`.
    pub(crate) fn of(job: &'a FetchJob, response: &UpstreamResponse, attempts: &Attempts<'_>) -> Self {
        let headers = &response.head.headers;
        // An upstream may send the whole resource in place of a slice.
        let is_slice = response.head.status == StatusCode::PARTIAL_CONTENT;
        let span = job.request.span.clone().filter(|_| is_slice);
        Self {
            job,
            original: Original {
                etag: headers.get(header::ETAG).filter(|etag| is_strong(etag)).cloned(),
                last_modified: headers.get(header::LAST_MODIFIED).cloned(),
                // The length of a slice is not the object's.
                length: response.content_length().filter(|_| span.is_none()),
            },
            span,
            responder: Arc::clone(response.upstream().name()),
            position: attempts.position(),
            requests_left: attempts.requests_left(),
        }
    }

    /// First the candidates that have not been tried. The one that broke may have recovered; it comes last.
    fn candidates(&self) -> Vec<Arc<Upstream>> {
        let all = self.job.candidates.iter();
        let turned = all.clone().cycle().skip(self.position).take(all.len()).map(Arc::clone);
        let (mut candidates, itself): (Vec<_>, Vec<_>) =
            turned.partition(|upstream| *upstream.name() != self.responder);
        candidates.extend(itself);
        candidates
    }

    /// Measures the rate of a body that another upstream could resume: a slow upstream is better than none.
    pub(crate) fn meter(&self, response: &UpstreamResponse) -> Option<Meter> {
        let min_rate = response.upstream().spec().options.timeouts.min_rate?;
        let is_rescuable = self.requests_left > 0
            && self.original.condition().is_some()
            && response.content_length().is_some();
        let has_another = self
            .job
            .candidates
            .iter()
            .any(|other| other.name() != response.upstream().name() && other.state().is_available());
        (is_rescuable && has_another).then(|| Meter::new(min_rate, Instant::now()))
    }

    /// Finds an upstream that resumes from byte `from`.
    pub(crate) async fn resume(&mut self, from: u64) -> Option<UpstreamResponse> {
        let condition = self.original.condition()?;
        let mut request = self.job.request.clone();
        for conditional in [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE] {
            request.headers.remove(conditional);
        }
        request.span.clone_from(&self.span);
        let (from, range) = match &request.span {
            None => (from, format!("bytes={from}-")),
            Some(span) => {
                let from = span.start().checked_add(from)?;
                (from, format!("bytes={from}-{}", span.end()))
            }
        };
        request.headers.insert(header::RANGE, HeaderValue::from_str(&range).ok()?);
        // RFC 9110 section 13.1.5: without a match the response is the whole object, with 200.
        request.headers.insert(header::IF_RANGE, condition);
        let candidates = self.candidates();
        let mut attempts = Attempts::for_rescue(self.job, &candidates, self.requests_left);
        let mut found = None;
        while found.is_none()
            && let Some(upstream) = attempts.next_candidate()
        {
            found = self.try_one(InFlight::begin(&self.job.recorder), upstream, &request, from).await.ok();
        }
        self.requests_left = self.requests_left.saturating_sub(attempts.sent());
        found
    }

    async fn try_one(
        &self,
        in_flight: InFlight,
        upstream: &Arc<Upstream>,
        request: &UpstreamRequest,
        from: u64,
    ) -> Result<UpstreamResponse, UpstreamError> {
        let mut response = UpstreamResponse::open(in_flight, upstream, request, None).await?;
        let error = match response.head.status {
            StatusCode::PARTIAL_CONTENT if self.original.continues(&response.head.headers, from) => {
                return Ok(response);
            }
            StatusCode::OK if request.span.is_none() && self.original.is_same_object(&response) => {
                match discard(&mut response, from).await {
                    Ok(()) => return Ok(response),
                    Err(error) => error,
                }
            }
            status if status.is_client_error() || status.is_server_error() => UpstreamError::Status(status),
            _ => UpstreamError::Unusable("another object"),
        };
        response.refuse(error);
        Err(error)
    }
}

impl Original {
    fn condition(&self) -> Option<HeaderValue> {
        let dated = || self.last_modified.clone().filter(|_| self.length.is_some());
        self.etag.clone().or_else(dated)
    }

    /// Whether a partial response is of this object and starts at `from`.
    fn continues(&self, headers: &HeaderMap, from: u64) -> bool {
        let Some((span, total)) = content_range(headers) else { return false };
        let length_agrees = match (self.length, total) {
            (Some(mine), Some(theirs)) => mine == theirs,
            (Some(_), None) => self.etag.is_some(),
            (None, _) => true,
        };
        *span.start() == from && length_agrees && self.validators_agree(headers)
    }

    /// Whether a complete response is this object.
    fn is_same_object(&self, response: &UpstreamResponse) -> bool {
        self.length == response.content_length() && self.validators_agree(&response.head.headers)
    }

    fn validators_agree(&self, headers: &HeaderMap) -> bool {
        match &self.etag {
            Some(etag) => headers.get(header::ETAG).is_some_and(|theirs| theirs == etag),
            None => headers.get(header::LAST_MODIFIED) == self.last_modified.as_ref(),
        }
    }
}

/// Reads the first `bytes` of a complete response and drops them: they have been served.
async fn discard(response: &mut UpstreamResponse, bytes: u64) -> Result<(), UpstreamError> {
    let mut left = bytes;
    while left > 0 {
        let Some(mut piece) = response.next().await? else { return Err(UpstreamError::Closed) };
        let cut = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        left -= cut as u64;
        let rest = piece.split_off(cut);
        if !rest.is_empty() {
            response.put_back(rest);
        }
    }
    Ok(())
}

fn is_strong(etag: &HeaderValue) -> bool {
    etag.as_bytes().first() == Some(&b'"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn only_the_same_object_from_the_same_byte_goes_on() {
        let tagged = Original {
            etag: Some(HeaderValue::from_static("\"a\"")),
            last_modified: None,
            length: Some(100),
        };
        for (fields, goes_on) in [
            (&[("content-range", "bytes 40-99/100"), ("etag", "\"a\"")][..], true),
            (&[("content-range", "bytes 40-99/*"), ("etag", "\"a\"")], true),
            (&[("content-range", "bytes 41-99/100"), ("etag", "\"a\"")], false),
            (&[("content-range", "bytes 40-98/99"), ("etag", "\"a\"")], false),
            (&[("content-range", "bytes 40-99/100"), ("etag", "\"b\"")], false),
            (&[("content-range", "bytes 40-99/100"), ("etag", "W/\"a\"")], false),
            (&[("content-range", "bytes 40-99/100")], false),
            (&[("etag", "\"a\"")], false),
        ] {
            assert_eq!(tagged.continues(&headers(fields), 40), goes_on, "{fields:?}");
        }
    }

    #[test]
    fn a_date_names_an_object_only_together_with_its_length() {
        let date = Some(HeaderValue::from_static("Sun, 22 Nov 2026 05:51:41 GMT"));
        let dated = |length| Original { etag: None, last_modified: date.clone(), length };
        assert!(dated(Some(5)).condition().is_some());
        assert!(dated(None).condition().is_none());
        assert!(Original { etag: None, last_modified: None, length: Some(5) }.condition().is_none());
    }
}
