//! Whom to ask, and the asking itself.
//!
//! A [`Source`] is one server that can be asked: a shield for an edge, an origin for a shield. Its [`health`] is what
//! requests and probes ([`probe`]) tell of it. A [`Pool`] puts sources in the order in which they are to be tried for a
//! key. [`fetch::fill`] makes one fill out of them: it tries the candidates in order, writes the answer into a `cache::Filling`, and when a source breaks in
//! the middle of a body goes on at the next one, from the same byte (`rescue.rs`). [`fetch::pass`] asks for one
//! viewer only.
//!
//! Whom TLS trusts, and how this node shows itself, is a [`Trust`] that the sources of a configuration share.
//!
//! What the answers mean is not decided here: a [`Desk`] rules on each head (store, collect first, pass) and is told
//! of every event that is worth counting.
//!
//! Where to begin: `fetch.rs`, then `exchange.rs` (one request and its answer on a pooled connection), then `http1.rs` (what
//! goes over that connection).
//!
//! All crates: [`tidegate`](../tidegate/index.html).

pub mod address;
pub mod asking;
pub mod bounded;
pub mod budget;
pub mod dns;
pub mod exchange;
pub mod fetch;
#[cfg(test)]
mod fixture;
pub mod gate;
pub mod geo;
pub mod geography;
pub mod hash;
pub mod health;
mod hedge;
mod http1;
mod http2;
pub mod latency;
pub mod line;
pub mod pace;
mod peers;
pub mod pem;
pub mod pool;
pub mod probe;
mod pump;
pub mod regions;
mod rescue;
mod resolve;
mod session;
pub mod source;
mod told;
mod trials;
pub mod trouble;
pub mod trust;
mod window;

pub use address::Address;
pub use asking::{Asking, Outcome};
pub use bounded::Bound;
pub use budget::Budget;
pub use dns::{Discover, Dns, Found, Member, Watch};
pub use exchange::{ASIDE, Ask, INTERIM_MAX, Interim, Reply};
pub use fetch::{Asker, Desk, Ending, Event, Inspection, Job, Kept, Ruling};
pub use gate::Limits;
pub use geo::Coordinates;
pub use geography::World;
pub use health::{Rules, State};
pub use line::Line;
pub use pace::Pace;
pub use pool::{Candidates, Order, Pool, stream_of};
pub use probe::{Probe, Question};
pub use regions::Viewpoint;
pub use source::{Deadlines, Options, Report, Source, Spec};
pub use trouble::Trouble;
pub use trust::Trust;
