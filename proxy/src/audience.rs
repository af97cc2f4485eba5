//! How many are watching: the viewers of each site, stream and rendition, and what their players report.
//!
//! `set.rs` counts the viewers of one stream, `identity.rs` makes numbers of viewers, `registry.rs` has all
//! streams, `recent.rs` spares a connection the repetition, `sessions.rs`
//! knows what sessions watch, and `count.rs` is what requests call. `webhook.rs`
//! sends the notices that `notices.rs` finds. Edges count,
//! shields do not: their clients are edges. Decision 34 has the reasons.

pub(crate) mod count;
pub(crate) mod health;
mod identity;
mod notices;
pub(crate) mod recent;
pub(crate) mod registry;
pub(crate) mod report;
mod sessions;
pub(crate) mod set;
pub(crate) mod webhook;
