//! Whom to ask, and the asking itself.
//!
//! A [`Upstream`] is one server that can be asked: a shield for an edge, an origin for a shield. Its [`health`] is what
//! requests and probes ([`probe`]) tell of it. A [`Pool`] puts sources in the order in which they are to be tried for a
//! key. [`fetch::fill`] makes one fill out of them: it tries the candidates in order, writes the answer into a `cache::FillWriter`, and when a source breaks in
//! the middle of a body goes on at the next one, from the same byte (`rescue.rs`). [`fetch::pass`] asks for one
//! viewer only.
//!
//! Whom TLS trusts, and how this node shows itself, is a [`Trust`] that the sources of a configuration share.
//!
//! What the answers mean is not decided here: a [`FillPolicy`] rules on each head (store, collect first, pass) and is told
//! of every event that is worth counting.
//!
//! Where to begin: `fetch.rs`, then `exchange.rs` (one request and its answer on a pooled connection), then `http1.rs` (what
//! goes over that connection).
//!
//! All crates: [`tidegate`](../tidegate/index.html).

pub mod address;
pub mod attempts;
pub mod bounded;
pub mod budget;
pub mod dns;
pub mod error;
pub mod exchange;
pub mod fetch;
#[cfg(test)]
mod fixture;
pub mod geo;
pub mod geography;
mod half_open;
pub mod hash;
pub mod health;
mod hedge;
mod http1;
mod http2;
pub mod in_flight;
pub mod latency;
pub mod limiter;
pub mod min_rate;
mod peers;
pub mod pem;
pub mod pool;
pub mod probe;
mod pump;
pub mod regions;
mod reported_failures;
mod rescue;
mod resolve;
mod session;
pub mod trust;
pub mod upstream;
mod window;

pub use address::Address;
pub use attempts::Attempts;
pub use bounded::Bound;
pub use budget::Budget;
pub use dns::{Discover, Dns, Found, Member, Watch};
pub use error::UpstreamError;
pub use exchange::{BACKUP, INTERIM_MAX, Interim, UpstreamRequest, UpstreamResponse};
pub use fetch::{Ending, Event, FillPolicy, FillRequest, Inspection, Kept, Requester, Ruling};
pub use geo::Coordinates;
pub use geography::World;
pub use health::{Rules, State};
pub use in_flight::{InFlight, Outcome};
pub use limiter::Limits;
pub use min_rate::MinRate;
pub use pool::{Candidates, Order, Pool, folder_of};
pub use probe::{Probe, Question};
pub use regions::Viewpoint;
pub use trust::Trust;
pub use upstream::{Options, Report, Spec, Timeouts, Upstream};
