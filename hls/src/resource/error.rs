//! Why a request target is refused.

/// Why a request target is refused. Every variant is the client's fault: HTTP status 400, except
/// [`PathTooLong`](Self::PathTooLong) and [`QueryTooLong`](Self::QueryTooLong), which are 414.
///
/// Offsets count bytes from the start of the target as it was sent (of the host, in the host's variants).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResourceError {
    /// The target is `*`, an authority, or an absolute URI that nobody took apart.
    #[error("the request target does not begin with '/'")]
    NotOriginForm,
    /// The path is longer than the site allows.
    #[error("the path has {len} bytes, {max} are allowed")]
    PathTooLong {
        /// Bytes it has, in the form that was over the limit.
        len: usize,
        /// Bytes that are allowed.
        max: usize,
    },
    /// The query is longer than the site allows.
    #[error("the query has {len} bytes, {max} are allowed")]
    QueryTooLong {
        /// Bytes it has, in the form that was over the limit.
        len: usize,
        /// Bytes that are allowed.
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
        /// Where the `%` stands.
        offset: usize,
    },
    /// A byte that no target may contain unescaped: a space, a `#`, or anything beyond ASCII.
    #[error("byte {byte:#04x} at byte {offset} of the target must be percent-encoded")]
    BadByte {
        /// The byte.
        byte: u8,
        /// Where it stands.
        offset: usize,
    },
    /// A control character, raw or (in the path) percent-encoded; NUL is one.
    #[error("control character at byte {offset} of the target")]
    Control {
        /// Where it stands.
        offset: usize,
    },
    /// Percent-encoded bytes in the path that are not UTF-8.
    #[error("the percent-encoded bytes at byte {offset} of the target are not UTF-8")]
    NotUtf8 {
        /// Where the first wrong sequence begins.
        offset: usize,
    },
    /// `%2F` in the path, which some servers take for a slash.
    #[error("encoded slash at byte {offset} of the target")]
    EncodedSlash {
        /// Where it stands.
        offset: usize,
    },
    /// A backslash in the path, raw or percent-encoded, which some servers take for a slash.
    #[error("backslash at byte {offset} of the target")]
    Backslash {
        /// Where it stands.
        offset: usize,
    },
    /// A segment `.` or `..`, raw or percent-encoded.
    #[error("dot segment at byte {offset} of the target")]
    DotSegment {
        /// Where the segment begins.
        offset: usize,
    },
    /// `_HLS_msn` or `_HLS_part` is not a decimal integer below 2^64.
    #[error("{name} at byte {offset} of the target is not a decimal integer")]
    BadNumber {
        /// The directive.
        name: &'static str,
        /// Where the parameter begins.
        offset: usize,
    },
    /// A delivery directive is given twice, so that one of the two would be ignored.
    #[error("{name} is given a second time at byte {offset} of the target")]
    RepeatedDirective {
        /// The directive.
        name: &'static str,
        /// Where the second one begins.
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
        /// Bytes it has.
        len: usize,
    },
    /// The host contains what no name or address contains.
    #[error("the host is not a name or an address: wrong at its byte {offset}")]
    BadHost {
        /// Where it goes wrong.
        offset: usize,
    },
    /// What follows the host's colon is not a port number.
    #[error("the host's port is not a number below 65536")]
    BadPort,
}

impl ResourceError {
    /// The HTTP status that answers it: 414 for what is too long (RFC 9110 section 15.5.15), else 400.
    pub const fn status(&self) -> u16 {
        match self {
            Self::PathTooLong { .. } | Self::QueryTooLong { .. } => 414,
            Self::NotOriginForm
            | Self::TooManyParams { .. }
            | Self::BadEscape { .. }
            | Self::BadByte { .. }
            | Self::Control { .. }
            | Self::NotUtf8 { .. }
            | Self::EncodedSlash { .. }
            | Self::Backslash { .. }
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
