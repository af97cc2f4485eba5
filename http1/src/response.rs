//! The head of a response: RFC 9112 section 4.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version, header};

use crate::error::Error;
use crate::fields::{Fields, Room, refused};
use crate::find::response_start;
use crate::framing::{Framing, Said, persists};
use crate::limits::Limits;

/// A response head that was parsed where it lies.
#[derive(Debug, Clone, Copy)]
pub struct ResponseHead<'a> {
    /// The status; its reason phrase says nothing more.
    pub status: StatusCode,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// The header fields.
    pub fields: Fields<'a>,
    /// Bytes of the head, with the empty line at its end.
    pub len: usize,
}

/// A response head that owns its parts.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// The header fields; `Content-Length` stands there once, however often it was sent.
    pub headers: HeaderMap,
    /// Where the body ends.
    pub framing: Framing,
    /// Whether the connection may be used again once the body has ended.
    pub persists: bool,
}

impl<'a> ResponseHead<'a> {
    /// Parses the head with which `bytes` begin; `None` while its end is missing.
    ///
    /// Space between a name and its colon is removed, as RFC 9112 section 5.1 asks of a proxy. Folded lines
    /// (section 5.2) are refused.
    ///
    /// # Errors
    ///
    /// The head is malformed, or larger than `limits`.
    pub fn parse<'b: 'a>(
        bytes: &'b [u8],
        limits: Limits,
        room: &'a mut Room<'b>,
    ) -> Result<Option<Self>, Error> {
        response_start(bytes)?;
        let mut parser = httparse::ParserConfig::default();
        parser.allow_spaces_after_header_name_in_responses(true);
        let mut parsed = httparse::Response::new(&mut []);
        let max = limits.head_bytes_max;
        let len = match parser.parse_response_with_uninit_headers(&mut parsed, bytes, room.of(limits)) {
            Ok(httparse::Status::Complete(len)) if len <= max => len,
            Ok(httparse::Status::Partial) if bytes.is_empty() || bytes.len() < max => return Ok(None),
            Ok(_) => return Err(Error::HeadTooLarge { max }),
            Err(error) => return Err(refused(error, Error::StatusLine, limits)),
        };
        let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(Error::StatusLine)?;
        let version = if parsed.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
        Ok(Some(Self { status, version, fields: Fields(parsed.headers), len }))
    }

    /// Where the body ends of the response to a request with `method`.
    ///
    /// # Errors
    ///
    /// The head is ambiguous.
    pub fn framing(&self, method: &Method) -> Result<Framing, Error> {
        Framing::of_response(method, self.status, self.fields.iter())
    }

    /// Whether the connection may be used again once a body that is framed so has ended.
    pub fn persists(&self, framing: Framing) -> bool {
        framing != Framing::Close && persists(self.version, self.fields.iter())
    }

    /// The head with its own parts, which are slices of `bytes`: the buffer that was parsed.
    ///
    /// # Errors
    ///
    /// As [`ResponseHead::framing`].
    ///
    /// # Panics
    ///
    /// `bytes` is another buffer.
    pub fn to_owned(&self, bytes: &Bytes, method: &Method) -> Result<Response, Error> {
        let said = Said::of(self.fields.iter());
        let framing = said.framing_of_response(method, self.status)?;
        let persists = self.persists(framing);
        let mut headers = self.fields.to_map(bytes)?;
        if let Some(length) = said.repeated_length() {
            // RFC 9110 section 8.6: of a length that is repeated, one goes on.
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
        Ok(Response { status: self.status, version: self.version, headers, framing, persists })
    }
}
