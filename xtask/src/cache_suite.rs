//! The public suite of HTTP cache tests, against one tier and against two.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::node::Node;
use crate::repository::Repository;
use crate::tally::Tally;
use crate::{output, shell};

/// The folder of the suite in the working copy.
pub(crate) const FOLDER: &str = "tests/cache_suite";

/// The required tests that fail on purpose, by the start of their names; docs/testing.md has the reasons.
const FAIL: &[&str] = &[
    "304-etag-update-response-",
    "age-parse-",
    "headers-store-Content-Range",
    "headers-store-Set-Cookie",
    "headers-store-Transfer-Encoding",
    "invalidate-DELETE-",
    "invalidate-M-SEARCH-",
    "invalidate-POST-",
    "invalidate-PUT-",
    "stale-close-",
    "status-500-stale",
    "status-502-stale",
    "status-503-stale",
    "status-504-stale",
    "status-599-must-understand",
    "status-599-stale",
];

/// The required tests of the release, and those of them that pass.
const RELEASE: (usize, usize) = (157, 121);
/// The same of a checkout of the suite, which has the tests of RFC 9111.
const CHECKOUT: (usize, usize) = (160, 151);

/// Runs the suite against an edge alone and against an edge and a shield; each is one test.
pub(crate) fn run(repository: &Repository) -> Tally {
    suite(repository).unwrap_or_else(|error| {
        eprintln!("cache suite: {error:#}");
        Tally::one(false)
    })
}

fn suite(repository: &Repository) -> Result<Tally> {
    let origin = Origin::start(repository)?;
    let folder = repository.target().join("cache-suite");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let alone = tier(repository, &folder, "edge", "alone", "", &origin.url)?;
    let shield = tier(repository, &folder, "shield", "shield", "", &origin.url)?;
    let shields = format!("shields = [\"{}\"]\n", shield.url());
    let edge = tier(repository, &folder, "edge", "edge", &shields, &origin.url)?;
    let mut tally = Tally::default();
    for (name, node) in [("one tier", &alone), ("two tiers", &edge)] {
        let mut run = shell::command_in(&repository.path(FOLDER), "node", &["--no-warnings", "run.mjs"]);
        let verdict: Verdict = shell::json(run.arg(node.url()))?;
        tally += verdict.print(name);
    }
    Ok(tally)
}

fn tier(
    repository: &Repository,
    folder: &Path,
    part: &'static str,
    name: &str,
    shields: &str,
    origin: &str,
) -> Result<Node> {
    let shields = if part == "edge" && shields.is_empty() { "shields = []\n" } else { shields };
    let write = |serving, operators| configuration(name, shields, origin, serving, operators);
    Node::start(&[repository.tidegate().into_os_string()], folder, part, name, write)
}

/// The suite sends methods with bodies, and each of its failures is about one request alone.
fn configuration(
    name: &str,
    shields: &str,
    origin: &str,
    serving: SocketAddr,
    operators: SocketAddr,
) -> String {
    format!(
        "node = \"{name}\"\n{shields}[listen]\nviewers = \"{serving}\"\noperators = \"{operators}\"\n\
         [cache]\nmemory = \"256MiB\"\nfailure_lifetime = \"0s\"\n[log]\naccess = \"off\"\n[[site]]\n\
         origins = [\"{origin}\"]\nmethods = [\"POST\", \"PUT\", \"PATCH\", \"DELETE\", \"M-SEARCH\"]\n"
    )
}

/// The output of the suite.
#[derive(Debug, Deserialize)]
struct Verdict {
    required: usize,
    passed: usize,
    /// The required tests that failed, each with its message.
    failed: BTreeMap<String, String>,
}

impl Verdict {
    /// Prints the verdict. It is good if at least as many tests pass as before, and no others fail than those
    /// that fail on purpose.
    fn print(&self, name: &str) -> Tally {
        let unexpected = self.unexpected();
        for (test, message) in &unexpected {
            eprintln!("{test}: {message}");
        }
        let (tests_min, passes_min) = if self.required < CHECKOUT.0 { RELEASE } else { CHECKOUT };
        let is_good = self.required >= tests_min && self.passed >= passes_min && unexpected.is_empty();
        let (passes, required) = (self.passed, self.required);
        let word = if is_good { "ok" } else { "FAILED" };
        println!("test {passes} of {required} required cache tests pass behind {name} ... {word}");
        Tally::one(is_good)
    }

    fn unexpected(&self) -> Vec<(&str, &str)> {
        let failed = self.failed.iter().map(|(test, message)| (test.as_str(), message.as_str()));
        failed.filter(|(test, _)| !FAIL.iter().any(|start| test.starts_with(start))).collect()
    }
}

/// The suite's server, which ends when this value is dropped.
struct Origin {
    process: Child,
    url: String,
}

impl Origin {
    fn start(repository: &Repository) -> Result<Self> {
        let mut command = shell::command_in(&repository.path(FOLDER), "node", &["run.mjs", "--origin"]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("node")?;
        let messages = process.stdout.take().context("it has no standard output")?;
        let mut origin = Self { process, url: String::new() };
        origin.url = output::first(messages, |line| line.starts_with("http://").then(|| line.to_owned()))
            .context("the suite's server")?;
        Ok(origin)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        // The end of its standard input ends the server.
        drop(self.process.stdin.take());
        if let Err(error) = self.process.wait() {
            eprintln!("the suite's server cannot be ended: {error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(required: usize, passed: usize, failed: &[&str]) -> Verdict {
        let failed = failed.iter().map(|test| ((*test).to_owned(), "why".to_owned())).collect();
        Verdict { required, passed, failed }
    }

    #[test]
    fn any_other_failure_is_unexpected() {
        assert_eq!(verdict(157, 121, FAIL).print("this test"), Tally::one(true));
        let other = verdict(157, 121, &[FAIL[0], "freshness-max-age"]);
        assert_eq!(other.unexpected(), [("freshness-max-age", "why")]);
        assert_eq!(other.print("this test"), Tally::one(false));
    }

    #[test]
    fn fewer_passes_are_a_failure() {
        for (required, passed, is_good) in
            [(157, 120, false), (156, 151, false), (160, 150, false), (160, 151, true)]
        {
            assert_eq!(verdict(required, passed, &[]).print("this test"), Tally::one(is_good));
        }
    }

    #[test]
    fn the_documentation_names_each_failure() {
        let text = std::fs::read_to_string(Repository::here().path("docs/testing.md")).unwrap();
        let missing: Vec<_> = FAIL.iter().filter(|test| !text.contains(&format!("`{test}"))).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
