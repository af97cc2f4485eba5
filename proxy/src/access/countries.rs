//! The countries of addresses, from a `MaxMind` file that the operator replaces from time to time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use maxminddb::{MaxMindDbError, PathElement, Reader};
use parking_lot::Mutex;
use tidegate_access::{ClientAddress, Country};

/// A file of countries, and its content.
#[derive(Debug)]
pub(crate) struct Countries {
    file: Option<PathBuf>,
    database: ArcSwapOption<Database>,
    stamp: Mutex<Option<Stamp>>,
}

/// The reader, in a type that can be shown.
struct Database(Reader<Vec<u8>>);

/// What shows that a file has changed: when it was written, and its length.
type Stamp = (SystemTime, u64);

/// Why a file of countries cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// It is no database.
    #[error(transparent)]
    Database(#[from] MaxMindDbError),
}

impl Countries {
    /// The countries of this file, which is not read yet. Without a file, no address has a country.
    pub(crate) fn new(file: Option<&str>) -> Self {
        Self { file: file.map(PathBuf::from), database: ArcSwapOption::empty(), stamp: Mutex::default() }
    }

    /// Reads the file. If it cannot be used, the content before stays.
    ///
    /// # Errors
    /// When it cannot be used.
    pub(crate) fn load(&self) -> Result<(), Fault> {
        let Some(file) = &self.file else { return Ok(()) };
        *self.stamp.lock() = self.stamp_now();
        let reader = Reader::from_source(std::fs::read(file)?)?;
        self.database.store(Some(Arc::new(Database(reader))));
        Ok(())
    }

    /// The country of an address, or the one in which its network is registered.
    pub(crate) fn of(&self, address: ClientAddress) -> Option<Country> {
        let database = self.database.load();
        let found = database.as_ref()?.0.lookup(address.ip()).ok()?;
        let code = |name| {
            let path = [PathElement::Key(name), PathElement::Key("iso_code")];
            found.decode_path::<&str>(&path).ok().flatten().and_then(Country::new)
        };
        code("country").or_else(|| code("registered_country"))
    }

    /// Reads the file again each time that it changes. Returns only if there is no file.
    pub(crate) async fn watch(self: Arc<Self>) {
        let Some(file) = self.file.clone() else { return };
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let countries = Arc::clone(&self);
            let reading = tokio::task::spawn_blocking(move || countries.reload());
            match reading.await {
                Ok(Some(Ok(()))) => tracing::info!(file = %file.display(), "read the countries again"),
                Ok(Some(Err(error))) => {
                    tracing::warn!(file = %file.display(), %error, "cannot read the countries; the old ones stay");
                }
                Ok(None) | Err(_) => {}
            }
        }
    }

    /// Reads the file if it has changed.
    fn reload(&self) -> Option<Result<(), Fault>> {
        let now = self.stamp_now();
        (now.is_some() && now != *self.stamp.lock()).then(|| self.load())
    }

    fn stamp_now(&self) -> Option<Stamp> {
        let metadata = std::fs::metadata(self.file.as_ref()?).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

/// How often the file is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
