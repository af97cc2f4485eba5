//! Where a body ends: RFC 9112 section 6.

#[cfg(test)]
mod tests;

use http::{HeaderMap, Method, StatusCode, Version, header};

use crate::error::Error;
use crate::syntax::trim;

/// How a body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    Empty,
    /// It has this many bytes.
    Length(u64),
    /// It comes in chunks, with one of size 0 at the end.
    Chunked,
    /// It ends with the connection: responses only.
    Close,
}

impl Framing {
    /// The framing of a request (RFC 9112 sections 6.1 and 6.3).
    ///
    /// # Errors
    ///
    /// Whatever two parsers could read in two ways: both fields, any number of lengths but one, codings that
    /// are not exactly `chunked`, a coding in HTTP/1.0.
    pub fn of_request<'a>(
        version: Version,
        fields: impl Iterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, Error> {
        let said = Said::of(fields);
        match (said.codings.is_some(), said.length) {
            (true, Length::None) if version == Version::HTTP_11 => said.chunked(),
            (true, Length::None) => Err(Error::CodingInHttp10),
            (true, _) => Err(Error::AmbiguousLength),
            (false, Length::None) => Ok(Self::Empty),
            (false, Length::Once(length)) => Ok(Self::Length(length)),
            (false, Length::Repeated(_) | Length::Malformed) => Err(Error::ContentLength),
        }
    }

    /// The framing of the response to a request with `method` (RFC 9112 section 6.3). A tier sends no
    /// CONNECT, so that no response opens a tunnel.
    ///
    /// # Errors
    ///
    /// Whatever two parsers could read in two ways: both fields, lengths that differ, codings that are not
    /// exactly `chunked`. The same length several times is one (RFC 9110 section 8.6): old servers behind
    /// gateways send it.
    pub fn of_response<'a>(
        method: &Method,
        status: StatusCode,
        fields: impl Iterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, Error> {
        Said::of(fields).framing_of_response(method, status)
    }

    /// How to frame the response that leaves, to a request with `method` in `version`; `length` is that of
    /// its body, if it is known.
    pub fn to_send(method: &Method, status: StatusCode, version: Version, length: Option<u64>) -> Self {
        match length {
            _ if has_no_body(method, status) => Self::Empty,
            Some(length) => Self::Length(length),
            None if version == Version::HTTP_11 => Self::Chunked,
            None => Self::Close,
        }
    }
}

/// RFC 9112 section 6.3, rule 1.
fn has_no_body(method: &Method, status: StatusCode) -> bool {
    *method == Method::HEAD
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Whether a connection is to be used again after a message with these fields (RFC 9112 section 9.3).
pub fn persists<'a>(version: Version, fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> bool {
    let (mut closes, mut keeps, mut has_coding) = (false, false, false);
    for (name, value) in fields {
        if is(name, "connection") {
            for option in value.split(|byte| *byte == b',').map(trim) {
                closes |= option.eq_ignore_ascii_case(b"close");
                keeps |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        }
        has_coding |= is(name, "transfer-encoding");
    }
    // Section 6.1: in HTTP/1.0 a transfer coding makes the framing doubtful.
    !closes && (version == Version::HTTP_11 || keeps && !has_coding)
}

/// The length that the fields of a message declare, where the protocol itself marks the end of the body
/// (HTTP/2). `None` if they declare none.
///
/// # Errors
///
/// It is not one number in digits. The same number several times is one (RFC 9110 section 8.6).
pub fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    let lines = headers.get_all(header::CONTENT_LENGTH).iter();
    match lines.flat_map(|line| members(line.as_bytes())).fold(Length::None, Length::and) {
        Length::None => Ok(None),
        Length::Once(length) | Length::Repeated(length) => Ok(Some(length)),
        Length::Malformed => Err(Error::ContentLength),
    }
}

/// What the fields of a head say of its body.
pub(crate) struct Said {
    length: Length,
    codings: Option<Codings>,
}

#[derive(Clone, Copy)]
enum Length {
    None,
    Once(u64),
    /// Always the same.
    Repeated(u64),
    Malformed,
}

#[derive(Clone, Copy)]
enum Codings {
    /// Others, and none of them is `chunked`.
    Others,
    /// `chunked` and nothing else.
    Chunked,
    /// Others, and then `chunked`.
    OthersThenChunked,
    /// `chunked` before the end, or an empty member.
    Malformed,
}

impl Said {
    pub(crate) fn of<'a>(fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut said = Self { length: Length::None, codings: None };
        for (name, value) in fields {
            if is(name, "content-length") {
                said.length = members(value).fold(said.length, Length::and);
            } else if is(name, "transfer-encoding") {
                said.codings =
                    members(value).fold(said.codings, |codings, coding| Some(Codings::and(codings, coding)));
            }
        }
        said
    }

    /// As [`Framing::of_response`].
    pub(crate) fn framing_of_response(&self, method: &Method, status: StatusCode) -> Result<Framing, Error> {
        let framing = match (self.codings.is_some(), self.length) {
            (true, Length::None) => self.chunked()?,
            (true, _) => return Err(Error::AmbiguousLength),
            (false, Length::None) => Framing::Close,
            (false, Length::Once(length) | Length::Repeated(length)) => Framing::Length(length),
            (false, Length::Malformed) => return Err(Error::ContentLength),
        };
        Ok(if has_no_body(method, status) { Framing::Empty } else { framing })
    }

    /// The length that fields repeat, in several lines or in one.
    pub(crate) fn repeated_length(&self) -> Option<u64> {
        match self.length {
            Length::Repeated(length) => Some(length),
            _ => None,
        }
    }

    fn chunked(&self) -> Result<Framing, Error> {
        match self.codings {
            Some(Codings::Chunked) => Ok(Framing::Chunked),
            Some(Codings::OthersThenChunked) => Err(Error::TransferCoding),
            Some(Codings::Others | Codings::Malformed) | None => Err(Error::ChunkedNotLast),
        }
    }
}

impl Length {
    fn and(self, member: &[u8]) -> Self {
        match (self, number(member)) {
            (Self::None, Some(length)) => Self::Once(length),
            (Self::Once(before) | Self::Repeated(before), Some(length)) if before == length => {
                Self::Repeated(length)
            }
            _ => Self::Malformed,
        }
    }
}

impl Codings {
    fn and(before: Option<Self>, coding: &[u8]) -> Self {
        let is_chunked = coding.eq_ignore_ascii_case(b"chunked");
        match before {
            _ if coding.is_empty() => Self::Malformed,
            None if is_chunked => Self::Chunked,
            Some(Self::Others) if is_chunked => Self::OthersThenChunked,
            None | Some(Self::Others) => Self::Others,
            Some(_) => Self::Malformed,
        }
    }
}

/// A number in digits alone: `parse` would take a sign as well.
fn number(digits: &[u8]) -> Option<u64> {
    let number = digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    });
    number.filter(|_| !digits.is_empty())
}

/// An empty value is one empty member.
fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim)
}

/// Most names differ in their length.
fn is(name: &str, expected: &str) -> bool {
    name.len() == expected.len() && name.eq_ignore_ascii_case(expected)
}
