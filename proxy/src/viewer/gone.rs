//! The viewer closed its connection.

/// Nothing can be written to the viewer any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the viewer is gone")]
pub(crate) struct Gone;
