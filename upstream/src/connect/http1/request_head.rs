//! The head of a request: one buffer for one write.

use http::{HeaderName, HeaderValue, header};
use tidegate_http1::lines;

use crate::error::UpstreamError;
use crate::request::{BACKUP, UpstreamRequest};
use crate::spec::Spec;

/// Writes the head of `request` for the upstream with `spec`.
pub(super) fn head(spec: &Spec, request: &UpstreamRequest) -> Result<Vec<u8>, UpstreamError> {
    let (base, target) = request.target_at(spec);
    let authority = spec.host.as_deref().unwrap_or(&request.host);
    if !base.bytes().chain(target.bytes()).all(|byte| byte > b' ' && byte != 0x7f) {
        return Err(UpstreamError::Unusable("the address makes no URI"));
    }
    if !authority.bytes().all(|byte| byte >= b' ' && byte != 0x7f) {
        return Err(UpstreamError::Unusable("the host makes no header field"));
    }
    let mut head = Vec::with_capacity(512);
    lines::request_line(&mut head, &request.method, &[base, &target]);
    let own = Own::of(spec, request);
    let host = own.value(&header::HOST).map_or(authority.as_bytes(), HeaderValue::as_bytes);
    lines::field(&mut head, &header::HOST, host);
    if own.is_empty() {
        lines::fields(&mut head, request.headers.iter());
        head.extend_from_slice(lines::END);
        return Ok(head);
    }
    for name in request.headers.keys() {
        if let Some(value) = own.value(name) {
            lines::field(&mut head, name, value.as_bytes());
        } else {
            for value in request.headers.get_all(name) {
                lines::field(&mut head, name, value.as_bytes());
            }
        }
    }
    for name in own.names().filter(|name| **name != header::HOST && !request.headers.contains_key(*name)) {
        if let Some(value) = own.value(name) {
            lines::field(&mut head, name, value.as_bytes());
        }
    }
    head.extend_from_slice(lines::END);
    Ok(head)
}

/// Values that replace the request's own fields.
struct Own<'a> {
    spec: &'a Spec,
    is_backup: bool,
}

/// `?1` is true (RFC 9651 section 3.3.6).
static TRUE: HeaderValue = HeaderValue::from_static("?1");

impl<'a> Own<'a> {
    fn of(spec: &'a Spec, request: &UpstreamRequest) -> Self {
        Self { spec, is_backup: request.is_backup && spec.is_tier }
    }

    fn is_empty(&self) -> bool {
        self.spec.headers.is_empty() && !self.is_backup
    }

    fn value(&self, name: &HeaderName) -> Option<&'a HeaderValue> {
        if !self.spec.headers.is_empty()
            && let Some(value) = self.spec.headers.get_all(name).iter().next_back()
        {
            return Some(value);
        }
        (self.is_backup && *name == BACKUP).then_some(&TRUE)
    }

    fn names(&self) -> impl Iterator<Item = &'a HeaderName> {
        let as_backup =
            Some(&BACKUP).filter(|as_backup| self.is_backup && !self.spec.headers.contains_key(*as_backup));
        as_backup.into_iter().chain(self.spec.headers.keys())
    }
}
