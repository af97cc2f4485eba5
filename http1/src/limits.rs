//! How large a head may be.

/// Header fields that a head may have, whatever the caller allows: there is room for as many.
pub const FIELDS_MAX: usize = 256;

/// Bytes that a head has at most, where no configuration says otherwise. Its empty line counts.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Empty lines before a request line that are skipped. RFC 9112 section 2.2 asks for at least one: old
/// clients send one after the body of a request.
pub const EMPTY_LINES_MAX: usize = 4;

/// The bounds of one head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes from the start line to the empty line, both included. Default: [`HEAD_BYTES_MAX`].
    pub head_bytes_max: usize,
    /// Header fields. Default and upper bound: [`FIELDS_MAX`].
    pub fields_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head_bytes_max: HEAD_BYTES_MAX, fields_max: FIELDS_MAX }
    }
}
