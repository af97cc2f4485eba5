//! Placeholder (being replaced by its owner; overwrite freely).

use std::time::Duration;

/// How long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lifetimes {
    /// Fresh.
    pub ttl: Duration,
    /// Grace.
    pub grace: Duration,
    /// Keep.
    pub keep: Duration,
    /// Initial age.
    pub age: Duration,
    /// must-revalidate.
    pub must_revalidate: bool,
}
