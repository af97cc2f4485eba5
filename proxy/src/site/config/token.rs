//! Which viewers may watch: `[site.token]`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
pub use tidegate_access::token::Carrier;

use crate::config::check::Breach;

/// The tokens of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Token {
    /// Files with keys, or folders of such files. With one, viewers need a token.
    pub keys: Vec<PathBuf>,
    /// Where a request may have its token.
    pub carriers: Vec<Carrier>,
    /// The name of the query parameter.
    pub parameter: String,
    /// The name of the cookie.
    pub cookie: String,
    /// Whether each request needs a token. If not, a request without one is served.
    pub required: bool,
    /// A file with the ids of revoked tokens.
    pub revoked: Option<PathBuf>,
    /// The name of this service in tokens that have an audience.
    pub audience: Option<String>,
    /// Requests per second with one token. 0 is no limit.
    pub requests_per_second: u32,
    /// Requests with one token that may come together.
    pub requests_burst: u32,
}

impl Default for Token {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            carriers: vec![Carrier::Path, Carrier::Query, Carrier::Cookie],
            parameter: "token".to_owned(),
            cookie: "token".to_owned(),
            required: true,
            revoked: None,
            audience: None,
            requests_per_second: 0,
            requests_burst: 200,
        }
    }
}

impl Token {
    /// The key files: those that are listed, and those in listed folders, by name.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn key_files(&self) -> std::io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for path in &self.keys {
            if !path.is_dir() {
                files.push(path.clone());
                continue;
            }
            let entries = std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path()));
            let mut inside: Vec<_> = entries.collect::<Result<_, _>>()?;
            inside.retain(|path| is_key_file(path));
            inside.sort();
            files.extend(inside);
        }
        Ok(files)
    }

    /// Checks the fields, but not the files.
    pub(crate) fn check(&self) -> Result<(), Breach> {
        if self.keys.is_empty() {
            return Ok(());
        }
        if self.carriers.is_empty() {
            return Err(Breach::new(&["site", "token", "carriers"], "at least one carrier is needed"));
        }
        for (field, name) in [("parameter", &self.parameter), ("cookie", &self.cookie)] {
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            if name.is_empty() || !name.bytes().all(is_name) {
                let message =
                    format!("{name:?} is not a name; write letters, digits, \"-\", \"_\" and \".\"");
                return Err(Breach::new(&["site", "token", field], message));
            }
        }
        Ok(())
    }
}

fn is_key_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "key" || extension == "pem")
}
