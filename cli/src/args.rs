//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// A CDN for live video that anyone can run: caching tiers for HLS.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, arg_required_else_help = true)]
pub(crate) struct Args {
    /// What is logged on standard error, such as `info` or `info,tidegate_upstream=debug` [default: `info`, for the demo `warn`]
    #[arg(long, global = true, value_name = "FILTER", env = "TIDEGATE_LOG")]
    pub(crate) log: Option<String>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Args {
    /// What is logged if nothing is said. pingora reports as an error that it opens a new connection because an idle
    /// one was just being looked after; that is no operator's business.
    pub(crate) fn log(&self) -> &str {
        match (&self.log, &self.command) {
            (Some(filter), _) => filter,
            (None, Command::Demo(_)) => "warn,pingora_core::connectors=off",
            (None, _) => "info,pingora_core::connectors=off",
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an edge: the tier that faces viewers
    Edge(Config),
    /// Run a shield: the tier that faces origins
    Shield(Config),
    /// Run a small HLS origin that misbehaves on command, for tests and tries
    OriginStub(Config),
    /// Check a configuration file: exit 0, or the first error with its line and column
    Check {
        /// The configuration file
        #[arg(short, long, value_name = "FILE", env = "TIDEGATE_CONFIG")]
        config: PathBuf,
        /// What the file configures; guessed from its name and content if not given
        #[arg(long, value_enum)]
        tier: Option<Part>,
    },
    /// Play a live stream through all tiers in one process, with a page to watch it
    Demo(crate::demo::Options),
}

/// The configuration of one part.
#[derive(Debug, clap::Args)]
pub(crate) struct Config {
    /// The configuration file; without one, the defaults of conf/*.toml
    #[arg(short, long, value_name = "FILE", env = "TIDEGATE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

/// A part that a file configures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// The tier that faces viewers
    Edge,
    /// The tier that faces origins
    Shield,
    /// The origin stub
    OriginStub,
}

impl Part {
    /// The part that a file configures, by its name (`edge.toml`, `my-shield.toml`), else by what only one has.
    pub(crate) fn guess(file: &str, text: &str) -> Self {
        let name = file.rsplit('/').next().unwrap_or(file);
        let has = |key: &str| text.lines().any(|line| line.trim_start().starts_with(key));
        if name.contains("shield") {
            Self::Shield
        } else if name.contains("origin") || name.contains("stub") {
            Self::OriginStub
        } else if name.contains("edge") || has("shields") {
            Self::Edge
        } else if has("[live]") || has("[media]") {
            Self::OriginStub
        } else if has("origins") {
            Self::Shield
        } else {
            Self::Edge
        }
    }
}
