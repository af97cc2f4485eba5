//! Hits: over HTTP/1.1, over TLS, over HTTP/2, and by size.

use anyhow::Result;

use super::Settings;
use super::comparison::{Case, Plan, Target};
use super::findings::Findings;
use super::load::{Load, Protocol};
use super::objects::Object;
use super::servers::Kind;
use super::stage::Stage;

const LIVE: [Object; 3] = [Object::Playlist, Object::Small, Object::Large];
const CONNECTIONS: u32 = 64;

/// A cached object under load.
pub(crate) fn case(object: Object, protocol: Protocol) -> Case {
    let load = Load { protocol, ..Load::of(object.path(), CONNECTIONS) };
    Case { title: object.title().to_owned(), load, is_cached: true, body: object.body().len() }
}

/// HTTP/1.1, beside all other servers and the bare loop.
pub(crate) fn plain(stage: &Stage, settings: &Settings) -> Result<Findings> {
    let cases = LIVE.map(|object| case(object, Protocol::Http)).to_vec();
    let servers = [&Kind::CACHES[..], &[Kind::FromMemory, Kind::Floor]].concat();
    let compared = Plan::of(&servers, cases).run(stage, settings)?;
    compared.findings(
        PLAIN,
        "HTTP/1.1",
        &[
            Target::new("1 KiB playlist", Kind::Nginx, 1.3),
            Target::new("1 KiB playlist", Kind::Varnish, 4.0),
            // At most 1.2 times its cost.
            Target::new("1 KiB playlist", Kind::Floor, 0.83),
            Target::new("200 KiB", Kind::Nginx, 2.5),
            Target::new("200 KiB", Kind::Varnish, 1.4),
            Target::new("1 MiB", Kind::Nginx, 1.4),
            Target::new("1 MiB", Kind::Varnish, 1.3),
        ],
    )
}

/// HTTP/1.1 over TLS, which Varnish does not support.
pub(crate) fn tls(stage: &Stage, settings: &Settings) -> Result<Findings> {
    let cases = LIVE.map(|object| case(object, Protocol::Https)).to_vec();
    let compared = Plan::of(&[Kind::Tidegate, Kind::Nginx], cases).run(stage, settings)?;
    compared.findings(
        TLS,
        "HTTPS, HTTP/1.1",
        &[
            Target::new("1 KiB playlist", Kind::Nginx, 1.4),
            Target::new("200 KiB", Kind::Nginx, 1.6),
            Target::new("1 MiB", Kind::Nginx, 1.4),
        ],
    )
}

/// HTTP/2 over TLS.
pub(crate) fn http2(stage: &Stage, settings: &Settings) -> Result<Findings> {
    let cases = [Object::Small, Object::Large].map(|object| case(object, Protocol::Http2)).to_vec();
    let compared = Plan::of(&[Kind::Tidegate, Kind::Nginx], cases).run(stage, settings)?;
    compared.findings(
        HTTP2,
        "HTTPS, HTTP/2",
        &[Target::new("200 KiB", Kind::Nginx, 1.6), Target::new("1 MiB", Kind::Nginx, 1.4)],
    )
}

/// From 64 KiB to 16 MiB.
pub(crate) fn sizes(stage: &Stage, settings: &Settings) -> Result<Findings> {
    let sizes = [Object::Least, Object::Large, Object::Greatest];
    let cases = sizes.map(|object| case(object, Protocol::Http)).to_vec();
    let compared = Plan::of(&Kind::CACHES, cases).run(stage, settings)?;
    let mut findings = compared.findings(SIZES, "HTTP/1.1", &[])?;
    findings.tables = compared.per_mebibyte();
    Ok(findings)
}

const PLAIN: &str = "\
## Hits

HTTP/1.1, 64 keep-alive connections, all objects cached.
The bare loop does the least that a server in Rust on tokio can do: it reads, parses, looks up, and writes a fixed head and the body in one write.
It is the lower bound for the playlist.
Tidegate sends large bodies from [copies in files](configuration.md#cache).
The row *all from memory* is the cost without these copies, which is lower on some processors, up to some length.
";

const TLS: &str = "\
## Hits over TLS

TLS 1.3, HTTP/1.1, 64 keep-alive connections; both servers have the same certificate (ECDSA, P-256) and cipher (AES-256-GCM).
The figures include the handshakes of the connections.
Varnish does not support TLS.
";

const HTTP2: &str = "\
## Hits over HTTP/2

The same over HTTP/2, by h2load: 64 connections with 4 concurrent requests on each.
";

const SIZES: &str = "\
## Larger objects

The cost of a MiB as objects grow.
HTTP/1.1, 64 keep-alive connections, all objects cached.
";
