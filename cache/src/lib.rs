//! What a tier holds, and who may fill it.
//!
//! The cache answers one question, atomically: a request for a [`Key`] is a hit, a stale hit, a join to a fill that
//! is under way, a miss whose asker is elected to start the one fill, a pass, or a failure that is still remembered
//! ([`Lookup`]). It knows neither HLS nor sockets: whoever is elected gets a [`FillWriter`], the pen of the fill, and
//! writes into it what a source sends; everybody else holds a [`FillReader`] and reads.
//!
//! Where to begin: [`Cache::look_up`] in `store.rs` is the way in; `slot.rs` holds the rules of election, one short
//! lock per key; `fill.rs` is what askers hold and `fill_writer.rs` the pen; `body.rs` is the growing byte sequence that
//! all readers share; `variants.rs` holds answers that vary apart; `freshness.rs` says how long an answer may live
//! (RFC 9111).
//!
//! What it is not: it opens no connection, spawns no task, reads no wall clock, and stores nothing that failed.
//!
//! All crates: [`tidegate`](../tidegate/index.html).

pub mod body;
pub mod fill;
pub mod fill_writer;
pub mod freshness;
pub mod key;
pub mod object;
mod slot;
pub mod store;
mod variants;

pub use body::{Body, Broken, Reader};
pub use fill::{Answer, Failure, FillReader, Refused};
pub use fill_writer::FillWriter;
pub use freshness::Lifetimes;
pub use key::Key;
pub use object::{Head, Object, State, Variant, Witness};
pub use slot::Lookup;
pub use store::{Cache, Limits, Totals};
