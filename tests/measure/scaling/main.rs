//! How Tidegate scales: the machines that an audience needs, and the requests between tiers of 10, 100 and
//! 1,000 edges.
//!
//!
//! `scaling [write] [name=value ...]` prints the tables of docs/scaling.md, or writes them into it. Nothing
//! here measures anything or opens a socket. The capacity model is arithmetic (`capacity.rs`, `example.rs`)
//! on figures that the benchmark has measured (`inputs.rs`). The simulation (`rounds.rs`) lets edges send
//! requests; the pools, the health, the hash and the bounds of `tidegate-upstream` themselves choose the
//! shields (`network.rs`), with the defaults of an edge.
//!
//!
//! Where to begin: `rounds.rs`, then `tiers.rs`.

mod audience;
mod capacity;
mod catalogue;
mod example;
mod inputs;
mod network;
mod page;
mod rounds;
mod tally;
mod text;
mod tiers;

use std::io::Write as _;

use anyhow::Result;

use inputs::Inputs;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let writes = arguments.first().is_some_and(|first| first == "write");
    if writes {
        arguments.remove(0);
    }
    let mut texts = page::model(&Inputs::parse(&arguments)?).await?;
    texts.extend(page::simulation().await?);
    if writes {
        return page::write(&texts);
    }
    for (part, text) in texts {
        writeln!(std::io::stdout().lock(), "{}:\n\n{text}", part.name())?;
    }
    Ok(())
}
