//! The keys and the revoked ids of a site, as its files have them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use tidegate_access::token::{Key, KeyError, Keys, Revoked};

use super::config::token::Token;
use crate::config::check::Breach;

/// The content of the files that `[site.token]` names.
#[derive(Debug)]
pub struct TokenFiles {
    /// The keys.
    pub keys: Keys,
    /// The revoked ids.
    pub revoked: Revoked,
    /// Unique in this process: a verified token is remembered for the files that verified it.
    pub(crate) id: u64,
    /// The files as they were before they were read.
    pub(crate) stamps: Vec<Stamp>,
}

/// A file, with the time of its last change and its length if it exists.
pub(crate) type Stamp = (PathBuf, Option<(SystemTime, u64)>);

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", file.display())]
pub struct Fault {
    file: PathBuf,
    #[source]
    cause: Cause,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It has no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A folder has no key files.
    #[error("there is no key file (*.key or *.pem)")]
    Empty,
    /// Two files have one name.
    #[error("another key has the same name")]
    SameName,
}

impl TokenFiles {
    /// Reads the files.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn load(config: &Token) -> Result<Self, Fault> {
        let folder = || config.keys.first().cloned().unwrap_or_default();
        let fault = |file: &Path, cause: Cause| Fault { file: file.to_owned(), cause };
        let stamps = stamps(config);
        let files = config.key_files().map_err(|error| fault(&folder(), error.into()))?;
        if files.is_empty() {
            return Err(fault(&folder(), Cause::Empty));
        }
        let mut keys: Vec<Key> = Vec::new();
        for file in &files {
            let text = std::fs::read_to_string(file).map_err(|error| fault(file, error.into()))?;
            let id = file.file_stem().unwrap_or_default().to_string_lossy();
            let key = Key::parse(&id, &text).map_err(|error| fault(file, error.into()))?;
            if keys.iter().any(|other| other.id() == key.id()) {
                return Err(fault(file, Cause::SameName));
            }
            keys.push(key);
        }
        let revoked = match &config.revoked {
            Some(file) => {
                Revoked::parse(&std::fs::read_to_string(file).map_err(|error| fault(file, error.into()))?)
            }
            None => Revoked::default(),
        };
        Ok(Self { keys: Keys::new(keys, config.audience.as_deref()), revoked, id: next_id(), stamps })
    }

    /// No key: no token is valid.
    pub(crate) fn closed() -> Self {
        Self { keys: Keys::default(), revoked: Revoked::default(), id: next_id(), stamps: Vec::new() }
    }
}

/// Reads the files when the configuration is checked.
pub(crate) fn check(config: &Token) -> Result<(), Breach> {
    if config.keys.is_empty() {
        return Ok(());
    }
    TokenFiles::load(config).map(drop).map_err(|fault| {
        let field = if config.revoked.as_ref() == Some(&fault.file) { "revoked" } else { "keys" };
        Breach::new(&["site", "token", field], fault.to_string())
    })
}

/// The files of a site as they are now.
pub(crate) fn stamps(config: &Token) -> Vec<Stamp> {
    let files = config.key_files().unwrap_or_default();
    let stamp = |file: PathBuf| {
        let metadata = std::fs::metadata(&file).ok();
        let state = metadata.and_then(|metadata| Some((metadata.modified().ok()?, metadata.len())));
        (file, state)
    };
    files.into_iter().chain(config.revoked.clone()).map(stamp).collect()
}

fn next_id() -> u64 {
    static NEXT_ID: AtomicU64 = AtomicU64::new(0);
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}
