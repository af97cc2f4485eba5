//! The viewer has left.

/// The viewer cannot be written to any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the viewer is gone")]
pub(crate) struct Gone;
