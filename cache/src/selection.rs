//! The rule by which a purge selects objects.

use std::fmt;

use crate::key::Key;
use crate::object::Head;

/// The rule by which a purge selects objects.
pub trait Selection: fmt::Debug + Send + Sync {
    /// Whether it selects this key; if it also reads heads, whether it may select an object of this key. The
    /// keys of variants are those of their resource with a suffix.
    fn selects_key(&self, key: &Key) -> bool;

    /// Whether it selects an object with this head. `None` if the key alone decides.
    fn selects_head(&self, head: &Head) -> Option<bool>;

    /// Whether it reads heads.
    fn reads_heads(&self) -> bool;
}
