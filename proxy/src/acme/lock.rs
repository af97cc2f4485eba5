//! The lock by which one of the nodes with a common storage orders.
//!
//! It is a file, so that it works on every shared file system. Its node touches the file while it orders; a
//! file that is not touched is that of a node that has died, and expires. Both times are taken by the file
//! system, so that the clocks of nodes do not matter. If two nodes find the same lock expired in the same
//! instant, both may order: that costs one order more and harms nothing.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::storage::{self, Storage};

/// A lock that this node has; dropping it releases it.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    owner: String,
    file: File,
}

/// How often the file is touched, and when an untouched one expires.
pub(super) const REFRESH: Duration = Duration::from_secs(20);
const EXPIRY: Duration = Duration::from_mins(2);

impl Lock {
    /// Takes the lock; `None` while another node has it. It uses files.
    ///
    /// # Errors
    /// When the storage cannot be used.
    pub(super) fn take(storage: &Storage) -> io::Result<Option<Self>> {
        Self::take_expired(storage, EXPIRY)
    }

    fn take_expired(storage: &Storage, expiry: Duration) -> io::Result<Option<Self>> {
        let path = storage.lock_file()?;
        let owner = storage::unique()?;
        match storage::create(&path) {
            Ok(mut file) => {
                file.write_all(owner.as_bytes())?;
                return Ok(Some(Self { path, owner, file }));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let next = path.with_extension(&owner);
        let mut file = storage::create(&next)?;
        file.write_all(owner.as_bytes())?;
        let taken = replace_expired(&path, &next, &file, expiry);
        if !matches!(taken, Ok(true)) {
            // It may be gone where the renaming failed.
            let _gone = fs::remove_file(&next);
        }
        let lock = Self { path, owner, file };
        Ok((taken? && lock.is_own()).then_some(lock))
    }

    /// Touches the file.
    pub(super) fn refresh(&self) -> io::Result<()> {
        self.file.write_all_at(self.owner.as_bytes(), 0)
    }

    fn is_own(&self) -> bool {
        fs::read_to_string(&self.path).is_ok_and(|owner| owner == self.owner)
    }
}

/// Puts the file `next`, which was just written, in the place of a lock that has expired.
fn replace_expired(path: &Path, next: &Path, file: &File, expiry: Duration) -> io::Result<bool> {
    let now = file.metadata()?.modified()?;
    let touched = match fs::metadata(path) {
        Ok(metadata) => metadata.modified()?,
        // It was released in between: the next round takes it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if now.duration_since(touched).unwrap_or_default() < expiry {
        return Ok(false);
    }
    fs::rename(next, path)?;
    Ok(true)
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.is_own() {
            // Without it, the lock expires.
            let _gone = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::acme::Acme;

    #[test]
    fn one_has_the_lock_until_it_is_dropped_or_expires() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::of(&Acme::new(Vec::new(), folder.path().to_str().unwrap().to_owned()));
        let files = || fs::read_dir(storage.lock_file().unwrap().parent().unwrap()).unwrap().count();
        let first = Lock::take(&storage).unwrap().unwrap();
        first.refresh().unwrap();
        assert!(Lock::take(&storage).unwrap().is_none());
        assert_eq!(files(), 1, "the attempt leaves no file");
        drop(first);
        assert_eq!(files(), 0);

        let dead = Lock::take(&storage).unwrap().unwrap();
        let next = Lock::take_expired(&storage, Duration::ZERO).unwrap().unwrap();
        // The node was only slow: what it does with its lock does not touch that of the other.
        dead.refresh().unwrap();
        drop(dead);
        assert!(Lock::take(&storage).unwrap().is_none());
        drop(next);
        assert!(Lock::take(&storage).unwrap().is_some());
    }
}
