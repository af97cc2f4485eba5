//! A small, real HLS origin that misbehaves on command.
//!
//! The demo, the tests and the load tests put it where a packager would stand. It is real: short H.264/AAC renditions,
//! committed with the script that made them, are looped for ever with rewritten timestamps, as MPEG-TS and as CMAF, so
//! that players play it. It is honest: what it serves at a moment is a pure function of the clock, so a primary and a
//! backup agree byte for byte. And it is obedient: over a second listener, or through [`Control`], it is told to be slow,
//! to break, to freeze or to lie, and says afterwards what it was asked. It shares no code with the tiers it tests.
//!
//! On the data listener (`{name}`: any of a-z, 0-9 and -, at most 32):
//!
//! | path | what |
//! |---|---|
//! | `/live/{name}/{ts\|cmaf}/index.m3u8` | multivariant playlist |
//! | `/live/{name}/{ts\|cmaf}/{rendition}/index.m3u8` | media playlist; renditions 360p, 240p, 144p, for CMAF also audio |
//! | `/live/{name}/ts/{rendition}/{seq}.ts`, `.../cmaf/{rendition}/init.mp4` and `{seq}.m4s` | segments |
//! | `/event/...`, `/vod/...` | the same, growing from the stub's start, and finished |
//! | `/ll/{name}/cmaf/...` | low latency: parts `{seq}.{part}.m4s`, hints, blocking reload, delta updates |
//! | `/ll/{name}/cmaf-ranges/...` | with parts as byte ranges of `{seq}.m4s`, which can be asked for while it grows |
//! | `/ll/{name}/cmaf-unblocked/...` | with parts, from an origin that cannot hold requests |
//! | `/bytes/{size}[/{anything}]` | a synthetic object, see [`synthetic_bytes`]; the query steers its headers |
//! | `/ingest/...` | what `ffmpeg -f hls -method PUT` sends, readable at the same path |
//! | `/echo` | the request's own body |
//! | `/healthz` | `ok` |
//!
//! Begin reading at `request.rs`, one request's way; then `stream.rs` (what exists now), `low_latency.rs` (and in which
//! parts), `media.rs` (timestamps), `faults.rs` (what can go wrong) and `wire.rs` (how a connection is broken).
//!
//! All crates: [`tidegate`](../tidegate/index.html).

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::config::{Config, ConfigError};
pub use self::control::{Connections, Control};
pub use self::counts::{Count, Counted, Seen};
pub use self::faults::{Down, Fault, FaultError, FaultId};
pub use self::pattern::Pattern;
pub use self::synthetic::{synthetic_bytes, synthetic_variant};

mod admin;
mod answer;
mod clock;
pub mod config;
mod control;
mod counts;
mod faults;
mod flow;
mod ingest;
mod low_latency;
mod media;
mod objects;
mod pattern;
mod playlist;
mod request;
mod server;
mod shared;
mod stream;
mod synthetic;
mod wire;

/// An origin with its ports bound; [`OriginStub::run`] brings it to life.
#[derive(Debug)]
pub struct OriginStub {
    data: TcpListener,
    admin: TcpListener,
    addr: SocketAddr,
    admin_addr: SocketAddr,
    shared: Arc<shared::Shared>,
}

impl OriginStub {
    /// Binds both listeners. Connections are queued from here on and served by [`OriginStub::run`].
    pub async fn load(config: Config) -> anyhow::Result<Self> {
        let (data, addr) = bind(config.listen, "origin-stub: listen").await?;
        let (admin, admin_addr) = bind(config.admin, "origin-stub: admin").await?;
        let shared = Arc::new(shared::Shared::new(config));
        Ok(Self { data, admin, addr, admin_addr, shared })
    }

    /// Where players, shields and encoders connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where faults are ordered over HTTP.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin_addr
    }

    /// The same as the admin listener, in process.
    pub fn control(&self) -> Control {
        Control::new(Arc::clone(&self.shared))
    }

    /// Serves until `shutdown`; then open answers may go on for the configuration's `drain_timeout`.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        tracing::info!(addr = %self.addr, admin = %self.admin_addr, "the origin stub is ready");
        let control = self.control();
        let data = server::run(self.data, self.addr, self.shared, shutdown.clone());
        let admin = admin::run(self.admin, control, shutdown);
        tokio::try_join!(data, admin).map(|((), ())| ())
    }
}

async fn bind(wanted: SocketAddr, what: &str) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener =
        TcpListener::bind(wanted).await.with_context(|| format!("{what}: cannot listen on {wanted}"))?;
    let addr = listener.local_addr().with_context(|| format!("{what}: {wanted} has no address"))?;
    Ok((listener, addr))
}
