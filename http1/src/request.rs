//! The head of a request: RFC 9112 section 3.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Version};

use crate::error::Error;
use crate::fields::{Fields, Room, refused};
use crate::find::request_start;
use crate::framing::{Framing, persists};
use crate::limits::Limits;
use crate::syntax::Class;

/// A request head that was parsed where it lies.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// The method; upper and lower case differ.
    pub method: &'a str,
    /// The target as it was sent: visible ASCII without a fragment.
    pub target: &'a str,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// The header fields.
    pub fields: Fields<'a>,
    /// Bytes of the head, with the empty lines before it and the empty line at its end.
    pub len: usize,
    has_plain_target: bool,
    bytes: &'a [u8],
}

/// The form of a target (RFC 9112 section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form<'a> {
    /// Path and query.
    Origin(&'a str),
    /// A whole URI. Its path is empty where the authority ends it.
    Absolute {
        /// As it was sent.
        scheme: &'a str,
        /// Host, perhaps with a port, and no user.
        authority: &'a str,
        /// As it was sent.
        path_and_query: &'a str,
    },
    /// Where CONNECT leads.
    Authority(&'a str),
    /// `*`, the server itself, in OPTIONS only.
    Asterisk,
}

/// What a request says of its host. RFC 9112 section 3.2 wants exactly one field with it in HTTP/1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host<'a> {
    /// Nothing.
    Missing,
    /// One line, which may be empty.
    One(&'a [u8]),
    /// Several lines, be they the same.
    Several,
}

/// A request head that owns its parts.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The target as it was sent.
    pub target: Bytes,
    /// Whether the target is plain ([`RequestHead::has_plain_target`]).
    pub has_plain_target: bool,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// The header fields.
    pub headers: HeaderMap,
    /// Where the body ends.
    pub framing: Framing,
    /// Whether the client wants to use the connection again.
    pub persists: bool,
}

impl<'a> RequestHead<'a> {
    /// Parses the head with which `bytes` begin; `None` while its end is missing.
    /// [`HeadFinder`](crate::HeadFinder) finds the end of a head that comes in many reads at less cost.
    ///
    /// # Errors
    ///
    /// The head is malformed, or larger than `limits`.
    #[inline]
    pub fn parse<'b: 'a>(
        bytes: &'b [u8],
        limits: Limits,
        room: &'a mut Room<'b>,
    ) -> Result<Option<Self>, Error> {
        let start = request_start(bytes)?;
        let rest = bytes.get(start..).unwrap_or_default();
        let too_large = Err(Error::HeadTooLarge { max: limits.head_bytes_max });
        let mut parsed = httparse::Request::new(&mut []);
        let len = match parsed.parse_with_uninit_headers(rest, room.of(limits)) {
            Ok(httparse::Status::Complete(len)) if len <= limits.head_bytes_max => len,
            Ok(httparse::Status::Partial) if rest.is_empty() || rest.len() < limits.head_bytes_max => {
                return Ok(None);
            }
            Ok(_) => return too_large,
            Err(error) => return Err(why(error, rest, limits)),
        };
        let httparse::Request { method: Some(method), path: Some(target), version, headers } = parsed else {
            return Err(Error::RequestLine);
        };
        let class = Class::of(target);
        if class == Class::Refused {
            return Err(Error::RequestLine);
        }
        let has_plain_target = class == Class::Plain && target.starts_with('/');
        let version = if version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
        let bytes = rest.get(..len).unwrap_or_default();
        let fields = Fields(headers);
        Ok(Some(Self { method, target, version, fields, len: start + len, has_plain_target, bytes }))
    }

    /// Whether the target is in origin form, of characters that every parser takes for what they are.
    pub fn has_plain_target(&self) -> bool {
        self.has_plain_target
    }

    /// The form of the target.
    ///
    /// # Errors
    ///
    /// It has none that goes with the method.
    pub fn form(&self) -> Result<Form<'a>, Error> {
        match self.target {
            target if self.method == "CONNECT" => Ok(Form::Authority(target)),
            target if target.starts_with('/') => Ok(Form::Origin(target)),
            "*" if self.method == "OPTIONS" => Ok(Form::Asterisk),
            target => absolute(target).ok_or(Error::Target),
        }
    }

    /// What the head says of its host.
    pub fn host(&self) -> Host<'a> {
        let mut hosts = self.fields.all("host");
        match (hosts.next(), hosts.next()) {
            (None, _) => Host::Missing,
            (Some(host), None) => Host::One(host),
            (Some(_), Some(_)) => Host::Several,
        }
    }

    /// Where the body ends.
    ///
    /// # Errors
    ///
    /// The head is ambiguous. So is a line that ends with LF alone in a head that announces a body: a parser
    /// that reads LF as part of a value does not see the field after it.
    pub fn framing(&self) -> Result<Framing, Error> {
        let framing = Framing::of_request(self.version, self.fields.iter())?;
        if framing != Framing::Empty && has_bare_lf(self.bytes) {
            return Err(Error::LineEnd);
        }
        Ok(framing)
    }

    /// Whether the client wants to use the connection again (RFC 9112 section 9.3).
    pub fn persists(&self) -> bool {
        persists(self.version, self.fields.iter())
    }

    /// The head with its own parts, which are slices of `bytes`: the buffer that was parsed.
    ///
    /// # Errors
    ///
    /// As [`RequestHead::framing`].
    ///
    /// # Panics
    ///
    /// `bytes` is another buffer.
    pub fn to_owned(&self, bytes: &Bytes) -> Result<Request, Error> {
        self.owned(|part| bytes.slice_ref(part))
    }

    /// The bytes of the head, from its request line to its empty line.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The head with its own parts, which are slices of `copy`: a copy of [`RequestHead::bytes`], so that the
    /// buffer that was parsed is free.
    ///
    /// # Errors
    ///
    /// As [`RequestHead::framing`].
    ///
    /// # Panics
    ///
    /// `copy` is shorter than the head.
    pub fn to_owned_in(&self, copy: &Bytes) -> Result<Request, Error> {
        self.owned(|part| {
            let start = part.as_ptr().addr().wrapping_sub(self.bytes.as_ptr().addr());
            // An empty part may point anywhere.
            if part.is_empty() { Bytes::new() } else { copy.slice(start..start + part.len()) }
        })
    }

    fn owned(&self, slice: impl Fn(&'a [u8]) -> Bytes) -> Result<Request, Error> {
        Ok(Request {
            method: Method::from_bytes(self.method.as_bytes()).map_err(|_never| Error::RequestLine)?,
            target: slice(self.target.as_bytes()),
            has_plain_target: self.has_plain_target,
            version: self.version,
            headers: self.fields.map(0, |value| HeaderValue::from_maybe_shared(slice(value)))?,
            framing: self.framing()?,
            persists: self.persists(),
        })
    }
}

/// A version that could be one is not supported; any other text in its place is a malformed line.
fn why(error: httparse::Error, head: &[u8], limits: Limits) -> Error {
    if error != httparse::Error::Version {
        return refused(error, Error::RequestLine, limits);
    }
    let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ').skip(2);
    match (words.next(), words.next()) {
        (Some([b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9']), None) => Error::Version,
        _ => Error::RequestLine,
    }
}

/// RFC 9110 section 4.2.4: a user before the host is an attempt to deceive.
fn absolute(target: &str) -> Option<Form<'_>> {
    let (scheme, rest) = target.split_once("://")?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path_and_query) = rest.split_at_checked(end)?;
    let is_authority = !authority.is_empty() && !authority.contains('@');
    (is_scheme && is_authority).then_some(Form::Absolute { scheme, authority, path_and_query })
}

fn has_bare_lf(head: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n').rev().skip(1).any(|line| line.last() != Some(&b'\r'))
}
