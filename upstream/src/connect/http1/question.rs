//! The head of a request as it leaves: one buffer for one write.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderName, HeaderValue, header};

use crate::error::UpstreamError;
use crate::request::{BACKUP, UpstreamRequest};
use crate::spec::Spec;

/// Writes the head of `ask` for the one whom `spec` describes.
pub(super) fn head(spec: &Spec, ask: &UpstreamRequest) -> Result<Bytes, UpstreamError> {
    let (base, target) = ask.target_at(spec);
    let authority = spec.host.as_deref().unwrap_or(&ask.host);
    if !base.bytes().chain(target.bytes()).all(|byte| byte > b' ' && byte != 0x7f) {
        return Err(UpstreamError::Unusable("its address makes no URI"));
    }
    if !authority.bytes().all(|byte| byte >= b' ' && byte != 0x7f) {
        return Err(UpstreamError::Unusable("its host makes no header"));
    }
    let mut head = BytesMut::with_capacity(512);
    for part in [ask.method.as_str(), " ", base, &target, " HTTP/1.1\r\n"] {
        head.put_slice(part.as_bytes());
    }
    let own = Own::of(spec, ask);
    field(
        &mut head,
        &header::HOST,
        own.value(&header::HOST).map_or(authority.as_bytes(), HeaderValue::as_bytes),
    );
    for name in ask.headers.keys() {
        if let Some(value) = own.value(name) {
            field(&mut head, name, value.as_bytes());
        } else {
            ask.headers.get_all(name).iter().for_each(|value| field(&mut head, name, value.as_bytes()));
        }
    }
    for name in own.names().filter(|name| **name != header::HOST && !ask.headers.contains_key(*name)) {
        if let Some(value) = own.value(name) {
            field(&mut head, name, value.as_bytes());
        }
    }
    head.put_slice(b"\r\n");
    Ok(head.freeze())
}

/// What stands in the place of the request's own fields.
struct Own<'a> {
    spec: &'a Spec,
    is_backup: bool,
}

/// `?1` is true (RFC 9651 section 3.3.6).
static TRUE: HeaderValue = HeaderValue::from_static("?1");

impl<'a> Own<'a> {
    fn of(spec: &'a Spec, ask: &UpstreamRequest) -> Self {
        Self { spec, is_backup: ask.is_backup && spec.is_tier }
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

fn field(head: &mut BytesMut, name: &HeaderName, value: &[u8]) {
    for part in [titled(name).as_bytes(), b": ", value, b"\r\n"] {
        head.put_slice(part);
    }
}

/// Names are lower case, but for those that old servers have been seen to look for as everybody writes them.
fn titled(name: &HeaderName) -> &str {
    match *name {
        header::HOST => "Host",
        header::CACHE_CONTROL => "Cache-Control",
        header::CONNECTION => "Connection",
        header::CONTENT_ENCODING => "Content-Encoding",
        header::CONTENT_LENGTH => "Content-Length",
        header::CONTENT_TYPE => "Content-Type",
        header::DATE => "Date",
        header::TRANSFER_ENCODING => "Transfer-Encoding",
        _ => name.as_str(),
    }
}
