//! The cached objects of a tier, and the election of the one request that may fill a key.
//!
//! The cache answers one question, atomically: a request for a [`Key`] is a hit, a stale hit, a join to a
//! fill that is under way, a miss whose request is elected to start the one fill, a pass, or a failure that
//! is still remembered ([`Lookup`]). It knows neither HLS nor sockets: the elected request gets a
//! [`FillWriter`] and writes into it what the upstream sends; every other request holds a [`FillReader`] and
//! reads.
//!
//! Where to begin: [`Cache::look_up`] in `store.rs` is the way in. `slot.rs` holds the rules of election, one
//! short lock per key. `fill.rs` is the readers' side of a fill, `fill_writer.rs` the writer's side.
//! `body.rs` is the growing byte sequence that all readers share. `variants.rs` keeps varying responses
//! apart, `relocate.rs` makes the fill of a part that of the whole, `purge.rs` purges by a rule.
//! `freshness.rs` decides how long a response may live (RFC 9111).
//!
//! What it is not: it opens no connection, spawns no task, reads no wall clock, and stores no broken
//! response.
//!
//! All crates: [`tidegate`](../tidegate/index.html).

pub mod body;
pub mod fill;
pub mod fill_writer;
pub mod freshness;
pub mod key;
pub mod object;
pub mod purge;
mod relocate;
pub mod selection;
mod shortage;
mod slot;
pub mod store;
mod variants;
mod vary;

pub use body::{Body, Broken, Reader};
pub use fill::{Answer, ErrorResponse, Failure, FillReader, Refused};
pub use fill_writer::{FillWriter, PurgeWatch};
pub use freshness::Lifetimes;
pub use key::Key;
pub use object::{Head, Object, Observer, RenderedHead, State, Variant};
pub use purge::{PurgeMode, Purged};
pub use selection::Selection;
pub use slot::Lookup;
pub use store::{Cache, Limits, Totals};
