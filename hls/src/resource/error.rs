//! Why a request target is refused.

/// Why a request target is refused. Every variant is the client's fault: HTTP status 400, except
/// [`PathTooLong`](Self::PathTooLong) and [`QueryTooLong`](Self::QueryTooLong), which are 414.
///
/// Offsets count bytes from the start of the target as it was sent (of the host, in the host's variants).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResourceError {
    /// The target is `*`, an authority, or an absolute URI that was not split.
    #[error("the request target does not begin with '/'")]
    NotOriginForm,
    /// The path is longer than the site allows.
    #[error("the path has {len} bytes, {max} are allowed")]
    PathTooLong {
        /// Its length in bytes, in the form that exceeded the limit.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The query is longer than the site allows.
    #[error("the query has {len} bytes, {max} are allowed")]
    QueryTooLong {
        /// Its length in bytes, in the form that exceeded the limit.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The query has more parameters than the site allows.
    #[error("the query has more than {max} parameters")]
    TooManyParams {
        /// Parameters that are allowed.
        max: usize,
    },
    /// A `%` without two hexadecimal digits after it.
    #[error("broken percent-encoding at byte {offset} of the target")]
    BadEscape {
        /// The offset of the `%`.
        offset: usize,
    },
    /// A byte that no target may contain unescaped: a space, a `#`, or anything beyond ASCII.
    #[error("byte {byte:#04x} at byte {offset} of the target must be percent-encoded")]
    BadByte {
        /// The byte.
        byte: u8,
        /// Its offset.
        offset: usize,
    },
    /// A control character, raw or (in the path) percent-encoded; NUL is one.
    #[error("control character at byte {offset} of the target")]
    Control {
        /// Its offset.
        offset: usize,
    },
    /// A segment `.` or `..`, raw or percent-encoded, between slashes or what some servers take for slashes:
    /// backslashes, `%2F`, `%5C`.
    #[error("dot segment at byte {offset} of the target")]
    DotSegment {
        /// The offset of the segment.
        offset: usize,
    },
    /// `_HLS_msn` or `_HLS_part` is not a decimal integer below 2^64.
    #[error("{name} at byte {offset} of the target is not a decimal integer")]
    BadNumber {
        /// The directive.
        name: &'static str,
        /// The offset of the parameter.
        offset: usize,
    },
    /// A delivery directive is repeated, so that one of the two would be ignored.
    #[error("{name} is repeated at byte {offset} of the target")]
    RepeatedDirective {
        /// The directive.
        name: &'static str,
        /// The offset of the second one.
        offset: usize,
    },
    /// `_HLS_part` without `_HLS_msn` (section 6.2.5.2).
    #[error("_HLS_part without _HLS_msn")]
    PartWithoutMsn,
    /// There is no host, or only a port.
    #[error("the host is empty")]
    EmptyHost,
    /// The host is longer than a domain name can be (RFC 1035 section 2.3.4).
    #[error("the host has {len} bytes, 253 are allowed")]
    HostTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The host contains a character that is in no name or address.
    #[error("the host is not a name or an address: invalid at its byte {offset}")]
    BadHost {
        /// The offset of the character in the host.
        offset: usize,
    },
    /// The text after the host's colon is not a port number.
    #[error("the host's port is not a number below 65536")]
    BadPort,
}

impl ResourceError {
    /// The HTTP status of the response: 414 for targets that are too long (RFC 9110 section 15.5.15), else
    /// 400.
    pub const fn status(&self) -> u16 {
        match self {
            Self::PathTooLong { .. } | Self::QueryTooLong { .. } => 414,
            Self::NotOriginForm
            | Self::TooManyParams { .. }
            | Self::BadEscape { .. }
            | Self::BadByte { .. }
            | Self::Control { .. }
            | Self::DotSegment { .. }
            | Self::BadNumber { .. }
            | Self::RepeatedDirective { .. }
            | Self::PartWithoutMsn
            | Self::EmptyHost
            | Self::HostTooLong { .. }
            | Self::BadHost { .. }
            | Self::BadPort => 400,
        }
    }
}
