//! Errors of a configuration file, with line and column.

use std::fmt;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::words;

/// An error of a configuration file, displayed as `file:line:column: message`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problem {
    /// The name of the file.
    pub file: String,
    /// The line, counted from 1; `None` if the error has no place.
    pub line: Option<usize>,
    /// The column, counted from 1.
    pub column: Option<usize>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// A broken rule between fields: the path of the field that must change, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// The field, as `["site", "hosts"]`; the last part that the file has is the place of the error.
    pub field: Vec<&'static str>,
    /// What is wrong.
    pub message: String,
}

impl Breach {
    /// A rule that `field` breaks.
    pub fn new(field: &[&'static str], message: impl Into<String>) -> Self {
        Self { field: field.to_vec(), message: message.into() }
    }
}

/// Reads a configuration and checks the rules between its fields.
///
/// # Errors
/// The first error, with its place.
pub fn read<T: DeserializeOwned>(
    file: &str,
    text: &str,
    rules: impl Fn(&T) -> Result<(), Breach>,
) -> Result<T, Problem> {
    let config = toml::from_str(text).map_err(|error: toml::de::Error| {
        problem(file, text, error.span().map(|span| span.start), words::of(text, &error))
    })?;
    rules(&config).map_err(|breach| {
        let message = format!("{}: {}", breach.field.join("."), breach.message);
        problem(file, text, place_of(text, &breach.field), message)
    })?;
    Ok(config)
}

/// Reads a configuration file again with `parse`. A file that cannot be read has an error, too.
///
/// # Errors
/// The first error, with its place.
pub(crate) fn read_file<T>(
    file: &Path,
    parse: impl Fn(&str, &str) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let name = file.display().to_string();
    match std::fs::read_to_string(file) {
        Ok(text) => parse(&name, &text),
        Err(error) => Err(Problem { file: name, line: None, column: None, message: error.to_string() }),
    }
}

/// A configuration is valid, and its fields that can change while the node runs do not fit the others as they
/// are before a restart.
pub(crate) fn without_restart(file: &Path, breach: &Breach) -> Problem {
    let message = format!("needs a restart: {}: {}", breach.field.join("."), breach.message);
    Problem { file: file.display().to_string(), line: None, column: None, message }
}

fn problem(file: &str, text: &str, at: Option<usize>, message: String) -> Problem {
    let before = at.and_then(|at| text.get(..at));
    Problem {
        file: file.to_owned(),
        line: before.map(|before| before.matches('\n').count() + 1),
        column: before.map(|before| before.chars().rev().take_while(|c| *c != '\n').count() + 1),
        message,
    }
}

/// The offset of the last part of `path` as a key or a table's name, after the parts before it.
fn place_of(text: &str, path: &[&str]) -> Option<usize> {
    if let Some(place) = place_in_table(text, path) {
        return Some(place);
    }
    let mut at = 0;
    let mut found = None;
    for part in path {
        let rest = text.get(at..)?;
        let mut offset = at;
        for line in rest.split_inclusive('\n') {
            let trimmed = line.trim_start();
            let names = trimmed.trim_start_matches('[').trim_start();
            if is_named(names, part) {
                found = Some(offset + line.len() - trimmed.len());
                at = offset + line.len();
                break;
            }
            offset += line.len();
        }
    }
    found
}

/// The same for a table in a table with a header of its own, such as `[listen.tls]`, anywhere in the file. If
/// the table lacks the key, the header is the place.
fn place_in_table(text: &str, path: &[&str]) -> Option<usize> {
    let (key, tables) = path.split_last()?;
    let header = format!("[{}]", tables.join("."));
    let mut header = Some(header).filter(|_| tables.len() > 1);
    let (mut offset, mut place) = (0, None);
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_start();
        let start = offset + line.len() - trimmed.len();
        offset += line.len();
        match (&header, place) {
            (Some(name), _) if trimmed.starts_with(name.as_str()) => (header, place) = (None, Some(start)),
            (None, Some(_)) if trimmed.starts_with('[') => break,
            (None, Some(_)) if is_named(trimmed, key) => return Some(start),
            _ => {}
        }
    }
    place
}

fn is_named(text: &str, name: &str) -> bool {
    text.strip_prefix(name).is_some_and(|after| after.trim_start().starts_with(['=', ']', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        cache: Section,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Section {
        memory: crate::config::units::Size,
    }

    fn sample(text: &str) -> Result<Sample, Problem> {
        read("edge.toml", text, |sample: &Sample| {
            if sample.cache.memory.bytes() == 0 {
                return Err(Breach::new(&["cache", "memory"], "must not be zero"));
            }
            Ok(())
        })
    }

    #[test]
    fn a_key_of_a_table_in_a_table_is_found_in_that_table() {
        let text =
            "[upstream]\nhttp = \"2\"\n[listen.tls]\nkey = 1\n[upstream.tls]\n# ca\nkey = 2\n[log]\nca = 3\n";
        let at = |path: &[&str]| place_of(text, path).and_then(|at| text[at..].lines().next());
        assert_eq!(at(&["upstream", "tls", "key"]), Some("key = 2"));
        assert_eq!(at(&["listen", "tls", "key"]), Some("key = 1"));
        assert_eq!(at(&["upstream", "tls", "ca"]), Some("[upstream.tls]"));
        assert_eq!(at(&["upstream", "http"]), Some("http = \"2\""));
    }

    #[test]
    fn every_problem_names_field_line_and_column() {
        for (text, expected) in [
            ("[cache]\nmemroy = \"1MiB\"", "edge.toml:2:1: unknown field `memroy`, expected `memory`"),
            (
                "[cache]\nmemory = \"1MB\"",
                "edge.toml:2:10: cache.memory: \"1MB\" is not a size; write \"256MiB\": \
                 a whole number and B, KiB, MiB or GiB",
            ),
            (
                "[cache]\nmemory = 5",
                "edge.toml:2:10: cache.memory: 5 is not a size; write \"256MiB\": \
                 a whole number and B, KiB, MiB or GiB",
            ),
            ("# one\n\n[cache]\n  memory = \"0B\"", "edge.toml:4:3: cache.memory: must not be zero"),
            ("[cache", "edge.toml:1:7: unclosed table, expected `]`"),
        ] {
            assert_eq!(sample(text).unwrap_err().to_string(), expected);
        }
        assert_eq!(sample("[cache]\nmemory = \"1MiB\"").unwrap().cache.memory.bytes(), 1 << 20);
    }
}
