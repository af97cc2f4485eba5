//! Where the body of an answer ends: RFC 9112 section 6.3.

use http::{HeaderMap, Method, StatusCode, header};

/// What came is not HTTP/1.1, or not within the bounds of this client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// How a body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is none.
    Nothing,
    /// So many bytes.
    Length(u64),
    /// In chunks, with one of length 0 at the end.
    Chunked,
    /// It ends with the connection.
    Close,
}

impl Framing {
    /// The framing of the answer to a request with `method`, and the length to be told where the fields say it several
    /// times.
    ///
    /// What leaves a doubt is refused, since somebody else on the way may have resolved it otherwise: both a length and
    /// a transfer coding, lengths that differ, and codings beside chunks, which were not asked for.
    pub(crate) fn of(
        status: StatusCode,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<(Self, Option<u64>), Malformed> {
        let is_chunked = is_chunked(headers)?;
        let (length, said) = length(headers)?;
        let has_none = *method == Method::HEAD
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let framing = match (is_chunked, length) {
            (true, Some(_)) => return Err(Malformed),
            _ if has_none => Self::Nothing,
            (true, None) => Self::Chunked,
            (false, Some(length)) => Self::Length(length),
            (false, None) => Self::Close,
        };
        Ok((framing, length.filter(|_| said > 1)))
    }
}

fn is_chunked(headers: &HeaderMap) -> Result<bool, Malformed> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(false),
        (Some(coding), None) if coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") => Ok(true),
        _ => Err(Malformed),
    }
}

/// The length that the fields agree on, and how often they say it.
fn length(headers: &HeaderMap) -> Result<(Option<u64>, usize), Malformed> {
    let (mut agreed, mut said) = (None, 0);
    for value in headers.get_all(header::CONTENT_LENGTH) {
        for number in value.to_str().map_err(|_bad| Malformed)?.split(',') {
            let length = digits(number.trim()).ok_or(Malformed)?;
            if *agreed.get_or_insert(length) != length {
                return Err(Malformed);
            }
            said += 1;
        }
    }
    Ok((agreed, said))
}

/// A number in digits alone: `parse` would take a sign as well.
fn digits(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn framing(status: u16, method: &Method, fields: &[(&'static str, &'static str)]) -> Option<Framing> {
        let headers = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        Framing::of(StatusCode::from_u16(status).unwrap(), method, &headers).ok().map(|(framing, _)| framing)
    }

    #[test]
    fn every_answer_is_framed_as_the_rfc_says_or_refused() {
        const LENGTH: &str = "content-length";
        const CODING: &str = "transfer-encoding";
        for (status, fields, expected) in [
            (200, &[][..], Some(Framing::Close)),
            (200, &[(LENGTH, "5")], Some(Framing::Length(5))),
            (200, &[(LENGTH, "5"), (LENGTH, "5")], Some(Framing::Length(5))),
            (200, &[(LENGTH, "5, 5")], Some(Framing::Length(5))),
            (200, &[(LENGTH, "18446744073709551615")], Some(Framing::Length(u64::MAX))),
            (200, &[(LENGTH, "18446744073709551616")], None),
            (200, &[(LENGTH, "5"), (LENGTH, "6")], None),
            (200, &[(LENGTH, "5, 6")], None),
            (200, &[(LENGTH, "+5")], None),
            (200, &[(LENGTH, "-5")], None),
            (200, &[(LENGTH, "0x5")], None),
            (200, &[(LENGTH, "")], None),
            (200, &[(LENGTH, "5,")], None),
            (200, &[(CODING, "chunked")], Some(Framing::Chunked)),
            (200, &[(CODING, "Chunked")], Some(Framing::Chunked)),
            (200, &[(CODING, "gzip, chunked")], None),
            (200, &[(CODING, "chunked, chunked")], None),
            (200, &[(CODING, "chunked"), (CODING, "chunked")], None),
            (200, &[(CODING, "identity")], None),
            (200, &[(CODING, "chunked"), (LENGTH, "5")], None),
            (103, &[], Some(Framing::Nothing)),
            (204, &[(LENGTH, "5")], Some(Framing::Nothing)),
            (304, &[(LENGTH, "5")], Some(Framing::Nothing)),
            (304, &[(CODING, "chunked")], Some(Framing::Nothing)),
            (204, &[(LENGTH, "5"), (LENGTH, "6")], None),
        ] {
            assert_eq!(framing(status, &Method::GET, fields), expected, "{status} {fields:?}");
            let headed = expected.map(|_| Framing::Nothing);
            assert_eq!(framing(status, &Method::HEAD, fields), headed, "HEAD {status} {fields:?}");
        }
    }
}
