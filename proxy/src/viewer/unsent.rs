//! A response that cannot be sent to its end.

/// The response cannot be sent to its end: the viewer has closed its connection or is too slow, or the body
/// has broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the response cannot be sent to its end")]
pub(crate) struct Unsent;
