//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use serde::Serialize;

/// A CDN for live video that anyone can run: caching tiers for HLS.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, arg_required_else_help = true)]
pub(crate) struct Args {
    /// Log filter for standard error, such as `info` or `info,tidegate_upstream=debug` [default: `info`;
    /// demo: `warn`]
    #[arg(long, global = true, value_name = "FILTER", env = "TIDEGATE_LOG")]
    pub(crate) log: Option<String>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Args {
    /// The default log filter. pingora logs an error when it opens a new connection because an idle one is
    /// being closed; operators need not see that.
    pub(crate) fn log(&self) -> &str {
        match (&self.log, &self.command) {
            (Some(filter), _) => filter,
            (None, Command::Demo(_)) => "warn,pingora_core::connectors=off",
            (None, _) => "info,pingora_core::connectors=off",
        }
    }
}

/// The command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an edge: the tier that faces viewers
    Edge(Config),
    /// Run a shield: the tier that faces origins
    Shield(Config),
    /// Run the origin stub: a small HLS origin with faults on command, for tests and experiments
    OriginStub(Config),
    /// Check a configuration file: exit with 0, or print the first error with line and column and exit with
    /// 78
    Check {
        /// The configuration file
        #[arg(short, long, value_name = "FILE", env = "TIDEGATE_CONFIG")]
        config: PathBuf,
        /// The part that the file configures [default: guessed from its name and content]
        #[arg(long, value_enum)]
        tier: Option<Part>,
    },
    /// Make certificates
    Cert {
        /// What to make
        #[command(subcommand)]
        command: crate::cert::Command,
    },
    /// Sign and verify tokens, with the keys of a site
    #[command(subcommand)]
    Token(crate::token::Command),
    /// Purge cached objects on all nodes: exit with 0 if each node has purged
    Purge(crate::purge::Options),
    /// Play a live stream through all tiers in one process, with a page to watch it
    Demo(crate::demo::Options),
}

/// The configuration of one part.
#[derive(Debug, clap::Args)]
pub(crate) struct Config {
    /// The configuration file [default: none, the defaults of conf/*.toml apply]
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
    /// The part that a file configures, by its name (`edge.toml`, `my-shield.toml`), otherwise by a key that
    /// only one part has.
    pub(crate) fn guess(file: &str, text: &str) -> Self {
        let name = file.rsplit('/').next().unwrap_or(file);
        let has = |key: &str| text.lines().any(|line| line.trim_start().starts_with(key));
        if name.contains("shield") {
            Self::Shield
        } else if name.contains("origin") || name.contains("stub") {
            Self::OriginStub
        } else if name.contains("edge") || has("shields") {
            Self::Edge
        } else if has_key_of_the_stub_alone(text) {
            Self::OriginStub
        } else if has("origins") {
            Self::Shield
        } else {
            Self::Edge
        }
    }

    /// The part with its article.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Edge => "an edge",
            Self::Shield => "a shield",
            Self::OriginStub => "an origin stub",
        }
    }
}

/// Whether a top-level key belongs to the stub and to no tier. Both have `listen`: the stub's is a value, a
/// tier's is a table.
fn has_key_of_the_stub_alone(text: &str) -> bool {
    let edge = keys(&tidegate_edge::Config::default());
    let stub = keys(&tidegate_origin_stub::Config::default());
    top_level(text).any(|key| stub.contains(&key) && !edge.contains(&key))
}

/// A top-level key of a file, and whether it opens a table (or several) or has a value.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    name: String,
    is_table: bool,
}

/// The keys of a configuration. A shield has an edge's keys without `shields`.
fn keys(config: &impl Serialize) -> Vec<Key> {
    let config = serde_json::to_value(config).unwrap_or_default();
    let fields = config.as_object().into_iter().flatten();
    let is_table = |value: &serde_json::Value| {
        value.is_object()
            || value.as_array().is_some_and(|list| list.iter().any(serde_json::Value::is_object))
    };
    fields.map(|(name, value)| Key { name: name.clone(), is_table: is_table(value) }).collect()
}

/// The top-level keys of a text that need not be valid TOML: the check itself reports its errors.
fn top_level(text: &str) -> impl Iterator<Item = Key> {
    let mut at_top = true;
    text.lines().filter_map(move |line| {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            at_top = false;
            return Some(Key { name: first_word(header.trim_start_matches('[')), is_table: true });
        }
        let (key, value) = line.split_once('=').filter(|_| at_top)?;
        let is_table = key.contains('.') || value.trim_start().starts_with('{');
        Some(Key { name: first_word(key), is_table })
    })
}

fn first_word(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_the_part_that_its_name_or_its_keys_indicate() {
        for (file, text, part) in [
            ("a/edge.toml", "", Part::Edge),
            ("a/my-shield.toml", "", Part::Shield),
            ("a/origin-stub.toml", "", Part::OriginStub),
            ("a.toml", "", Part::Edge),
            ("a.toml", "shields = []\n[[site]]\norigins = []\n", Part::Edge),
            ("a.toml", "[[site]]\norigins = []\n", Part::Shield),
            ("a.toml", "[listen]\nviewers = \"127.0.0.1:0\"\n", Part::Edge),
            ("a.toml", "listen.viewers = \"127.0.0.1:0\"\n", Part::Edge),
            ("a.toml", "listen = { viewers = \"127.0.0.1:0\" }\n", Part::Edge),
            ("a.toml", "[listen]\nconnections_max = 5\n[viewers]\nidle_timeout = \"1m\"\n", Part::Edge),
            ("a.toml", "listen = \"127.0.0.1:0\"\n", Part::OriginStub),
            ("a.toml", "admin = \"127.0.0.1:0\"\n", Part::OriginStub),
            ("a.toml", "connections_max = 5\n", Part::OriginStub),
            ("a.toml", "# the stub\n\n[event]\nsegments_max = 20\n", Part::OriginStub),
            ("a.toml", "[ vod ]\nloops = \n", Part::OriginStub),
            ("a.toml", "live.window_segments = 5\n", Part::OriginStub),
        ] {
            assert_eq!(Part::guess(file, text), part, "{file}: {text}");
        }
    }

    #[test]
    fn every_key_of_the_stub_identifies_it() {
        for key in keys(&tidegate_origin_stub::Config::default()) {
            let text = if key.is_table { format!("[{}]\n", key.name) } else { format!("{} = 1\n", key.name) };
            assert_eq!(Part::guess("a.toml", &text), Part::OriginStub, "{text}");
        }
    }
}
