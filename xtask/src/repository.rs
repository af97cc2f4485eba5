//! The paths in the working copy.

use std::path::{Path, PathBuf};

/// The working copy that this xtask was built from.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    root: PathBuf,
}

impl Repository {
    /// The folder above xtask's own manifest.
    pub(crate) fn here() -> Self {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self { root: manifest.parent().unwrap_or(manifest).to_owned() }
    }

    /// A path inside the working copy.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The top folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The target folder of cargo: `CARGO_TARGET_DIR`, or else `target`.
    pub(crate) fn target(&self) -> PathBuf {
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.path("target"), |dir| self.root.join(dir))
    }

    /// The server that the process tests start.
    pub(crate) fn tidegate(&self) -> PathBuf {
        self.target().join("debug/tidegate")
    }

    /// The folder of the tools that are installed only for the tests.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target().join("tools")
    }
}
