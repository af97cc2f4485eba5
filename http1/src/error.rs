//! What can be wrong with a message.

use http::StatusCode;

/// Why a message is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// 400: the request line is not a method, a target and a version with one space between them (RFC 9112
    /// section 3).
    #[error("the request line is malformed")]
    RequestLine,
    /// 400: the target has none of the forms of RFC 9112 section 3.2.
    #[error("the request target is malformed")]
    Target,
    /// 502: the status line is malformed (RFC 9112 section 4).
    #[error("the status line is malformed")]
    StatusLine,
    /// 505: a version other than HTTP/1.0 and HTTP/1.1.
    #[error("the HTTP version is not supported")]
    Version,
    /// 400: a field line is malformed: its name, its colon, its value; a folded line is one too (RFC 9112
    /// section 5).
    #[error("a header field line is malformed")]
    FieldLine,
    /// 400: a CR without LF; or an LF without CR where it would decide how a body is framed.
    #[error("a line ends with half of CR LF")]
    LineEnd,
    /// 400: too many empty lines before a request line.
    #[error("more than {max} empty lines come before the request line")]
    EmptyLines {
        /// The bound.
        max: usize,
    },
    /// 431: the head is too large.
    #[error("the head is larger than {max} bytes")]
    HeadTooLarge {
        /// The bound.
        max: usize,
    },
    /// 431: the head has too many fields.
    #[error("the head has more than {max} header fields")]
    TooManyFields {
        /// The bound.
        max: usize,
    },
    /// 400: `Content-Length` is not one decimal number (RFC 9110 section 8.6).
    #[error("Content-Length is not one decimal number")]
    ContentLength,
    /// 400: `Content-Length` beside `Transfer-Encoding` (RFC 9112 section 6.1).
    #[error("the message has both Content-Length and Transfer-Encoding")]
    AmbiguousLength,
    /// 400: the last transfer coding is not `chunked`, or there are two of it (RFC 9112 section 6.3).
    #[error("the transfer codings do not end with one chunked")]
    ChunkedNotLast,
    /// 501: a transfer coding beside `chunked` (RFC 9112 section 6.1).
    #[error("the only transfer coding that is supported is chunked")]
    TransferCoding,
    /// 400: `Transfer-Encoding` in HTTP/1.0, which knows none (RFC 9112 section 6.1).
    #[error("an HTTP/1.0 message has a Transfer-Encoding")]
    CodingInHttp10,
    /// 400: a chunk or its trailers are malformed (RFC 9112 section 7.1).
    #[error("a chunk is malformed")]
    Chunk,
    /// 400: the line with a chunk's size is too long.
    #[error("the line with the size of a chunk is longer than {max} bytes")]
    ChunkLineTooLong {
        /// The bound.
        max: usize,
    },
    /// 431: the trailers are too large.
    #[error("the trailers are larger than {max} bytes")]
    TrailersTooLarge {
        /// The bound.
        max: usize,
    },
    /// 500: a body that leaves is longer than its head has said.
    #[error("the body is longer than its Content-Length")]
    BodyTooLong,
}

impl Error {
    /// The status for the client: of the request that has this fault, or of the one whose response has it
    /// where only a response can have it. A gateway sends 502 for any fault of a response.
    pub fn status(self) -> StatusCode {
        match self {
            Self::RequestLine
            | Self::Target
            | Self::FieldLine
            | Self::LineEnd
            | Self::EmptyLines { .. }
            | Self::ContentLength
            | Self::AmbiguousLength
            | Self::ChunkedNotLast
            | Self::CodingInHttp10
            | Self::Chunk
            | Self::ChunkLineTooLong { .. } => StatusCode::BAD_REQUEST,
            Self::HeadTooLarge { .. } | Self::TooManyFields { .. } | Self::TrailersTooLarge { .. } => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::TransferCoding => StatusCode::NOT_IMPLEMENTED,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::StatusLine => StatusCode::BAD_GATEWAY,
            Self::BodyTooLong => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_status() {
        for (error, status) in [
            (Error::RequestLine, 400),
            (Error::Target, 400),
            (Error::FieldLine, 400),
            (Error::LineEnd, 400),
            (Error::EmptyLines { max: 4 }, 400),
            (Error::ContentLength, 400),
            (Error::AmbiguousLength, 400),
            (Error::ChunkedNotLast, 400),
            (Error::CodingInHttp10, 400),
            (Error::Chunk, 400),
            (Error::ChunkLineTooLong { max: 1 }, 400),
            (Error::HeadTooLarge { max: 1 }, 431),
            (Error::TooManyFields { max: 1 }, 431),
            (Error::TrailersTooLarge { max: 1 }, 431),
            (Error::TransferCoding, 501),
            (Error::Version, 505),
            (Error::StatusLine, 502),
            (Error::BodyTooLong, 500),
        ] {
            assert_eq!(error.status(), status, "{error}");
        }
    }
}
