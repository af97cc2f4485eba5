//! An edge inside a program of your own, in front of the origin that the first argument names.
//!
//! ```sh
//! cargo run -p tidegate-examples --bin embedded-edge -- http://127.0.0.1:8088
//! ```

#![expect(clippy::print_stderr, reason = "a program talks on its standard error")]

use anyhow::Context as _;
use tidegate_edge::{Config, Edge};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let origin = std::env::args().nth(1).context("name an origin, such as http://127.0.0.1:8088")?;
    // The fields of conf/edge.toml. Port 0 is any free port.
    // Without shields, the edge asks the origin itself.
    let text = format!(
        r#"
        shields = []
        listen = {{ viewers = "127.0.0.1:0", operators = "127.0.0.1:0" }}
        log.access = "off"
        [[site]]
        origins = [{origin:?}]
        "#
    );
    let edge = Edge::load(Config::parse("embedded-edge", &text)?).await?;
    eprintln!("edge listening serving={} operators={}", edge.addr()?, edge.admin_addr()?);

    // Ctrl-C drains: requests under way are answered, then `run` returns.
    let shutdown = CancellationToken::new();
    let mut running = Box::pin(edge.run(shutdown.clone()));
    tokio::select! {
        ended = &mut running => return ended,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    shutdown.cancel();
    running.await
}
