//! Whom to ask, and the asking itself.
//!
//! A [`Source`] is one server that can be asked: a shield for an edge, an origin for a shield. A tier's
//! [`Candidates`] put sources in the order in which they are to be tried for a key. [`fetch::fill`] makes one fill out
//! of them: it tries the candidates in order, writes the answer into a `cache::Filling`, and when a source breaks in
//! the middle of a body goes on at the next one, from the same byte (`rescue.rs`). [`fetch::pass`] asks for one
//! viewer only.
//!
//! What the answers mean is not decided here: a [`Desk`] rules on each head (store, collect first, pass) and is told
//! of every event that is worth counting.
//!
//! Where to begin: `fetch.rs`, then `exchange.rs` (one request and its answer on a pooled connection).

pub mod address;
pub mod asking;
pub mod exchange;
pub mod fetch;
pub mod hash;
pub mod pool;
mod rescue;
mod resolve;
pub mod source;

pub use address::Address;
pub use asking::{Asking, Outcome};
pub use exchange::{Ask, INTERIM_MAX, Interim, Reply};
pub use fetch::{Asker, Desk, Ending, Event, Inspection, Job, Kept, Ruling};
pub use pool::{ByHash, ByPriority, Candidates};
pub use source::{Deadlines, Options, Source, Trouble};
