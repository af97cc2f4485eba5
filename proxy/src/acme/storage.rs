//! The folder with account, certificates and challenges, which several nodes may share.
//!
//! ```text
//! <storage>/<directory>/account.json
//!                       certificates/<host>.pem   the chain, then the key
//!                       challenges/http-<token>   a key authorization
//!                       challenges/alpn-<host>
//!                       pauses/<host>             orders that failed (`pause.rs`)
//!                       lock                      (`lock.rs`)
//! ```
//!
//! Each authority has a folder of its own, so that a change of the directory, say from staging to production,
//! makes new orders. Files are for their owner alone. They are replaced by renaming: another node reads the
//! old one or the new one.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use instant_acme::AccountCredentials;

use crate::config::acme::Acme;

/// The folder.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    folder: PathBuf,
    hosts: Vec<String>,
}

/// The responses to a challenge; dropping it withdraws them.
#[derive(Debug)]
pub(super) struct Published(Vec<PathBuf>);

/// The longest token that is looked up. Authorities send 43 characters.
const TOKEN_MAX: usize = 128;

impl Storage {
    /// The folder of a configuration. It is created with the first file.
    pub(crate) fn of(acme: &Acme) -> Self {
        Self { folder: Path::new(&acme.storage).join(folder_of(&acme.directory)), hosts: acme.hosts() }
    }

    /// The hosts, each with the file of its certificate, which may not exist yet.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = (&str, PathBuf)> {
        self.hosts.iter().map(|host| (host.as_str(), self.certificate(host)))
    }

    /// The response to HTTP-01 (RFC 8555 section 8.3): the key authorization for a token, if a node has
    /// published one. It reads a file.
    pub(crate) fn http_response(&self, token: &str) -> Option<String> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_token = (1..=TOKEN_MAX).contains(&token.len()) && token.bytes().all(is_allowed);
        is_token.then(|| fs::read_to_string(self.challenge("http", token)).ok()).flatten()
    }

    /// The key authorization for TLS-ALPN-01 (RFC 8737 section 3), if a node has published one for the host.
    /// It reads a file.
    pub(super) fn alpn_response(&self, host: &str) -> Option<String> {
        let host = self.hosts.iter().find(|known| known.eq_ignore_ascii_case(host))?;
        fs::read_to_string(self.challenge("alpn", host)).ok()
    }

    /// Publishes the responses to both kinds of challenge.
    pub(super) fn publish(&self, host: &str, token: &str, key_authorization: &str) -> io::Result<Published> {
        let mut published = Published(Vec::new());
        for path in [self.challenge("http", token), self.challenge("alpn", host)] {
            write(&path, key_authorization)?;
            published.0.push(path);
        }
        Ok(published)
    }

    /// Removes the challenges that a killed node has left behind. The caller has the lock.
    pub(super) fn withdraw_all(&self) {
        // There may be none.
        let _none = fs::remove_dir_all(self.folder.join("challenges"));
    }

    pub(super) fn certificate(&self, host: &str) -> PathBuf {
        self.folder.join("certificates").join(format!("{host}.pem"))
    }

    pub(super) fn store_certificate(&self, host: &str, pem: &str) -> io::Result<()> {
        write(&self.certificate(host), pem)
    }

    /// The account, if there is one.
    pub(super) fn account(&self) -> io::Result<Option<AccountCredentials>> {
        match fs::read(self.account_file()) {
            Ok(json) => Ok(Some(serde_json::from_slice(&json)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn store_account(&self, account: &AccountCredentials) -> io::Result<()> {
        write(&self.account_file(), &serde_json::to_string(account)?)
    }

    pub(super) fn forget_account(&self) -> io::Result<()> {
        fs::remove_file(self.account_file())
    }

    /// The file that says when the next order for a host may begin.
    pub(super) fn pause(&self, host: &str) -> PathBuf {
        self.folder.join("pauses").join(host)
    }

    /// The file of the lock. Its folder exists.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub(super) fn lock_file(&self) -> io::Result<PathBuf> {
        create_folder(&self.folder)?;
        Ok(self.folder.join("lock"))
    }

    fn challenge(&self, kind: &str, name: &str) -> PathBuf {
        self.folder.join("challenges").join(format!("{kind}-{name}"))
    }

    fn account_file(&self) -> PathBuf {
        self.folder.join("account.json")
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        for path in &self.0 {
            // Another node that found the lock expired may have removed it.
            let _gone = fs::remove_file(path);
        }
    }
}

/// Writes a file for its owner alone, and puts it in place when it is complete.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        create_folder(folder)?;
    }
    let mut next = path.as_os_str().to_owned();
    next.push(format!(".{}", unique()?));
    let next = PathBuf::from(next);
    let written = create(&next).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    let replaced = written.and_then(|()| fs::rename(&next, path));
    if replaced.is_err() {
        // The error before is the one to report.
        let _gone = fs::remove_file(&next);
    }
    replaced
}

/// Creates a file for its owner alone; it must not exist.
pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn create_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// A text that no other process writes.
pub(super) fn unique() -> io::Result<String> {
    let mut bytes = [0; 8];
    rand::fill(&mut bytes).map_err(|_unspecified| io::Error::other("the system has no random bytes"))?;
    Ok(format!("{:016x}", u64::from_be_bytes(bytes)))
}

/// The name of the folder for a directory: its URL without the scheme, in safe characters.
fn folder_of(directory: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' };
    let name: String = directory.trim_start_matches("https://").chars().map(safe).collect();
    name.trim_start_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn storage(folder: &Path) -> Storage {
        let folder = folder.join("a/b").to_str().unwrap().to_owned();
        Storage::of(&Acme::new(vec!["live.example".to_owned()], folder))
    }

    #[test]
    fn challenges_are_read_by_token_and_host_until_they_are_withdrawn() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (storage(folder.path()), storage(folder.path()));
        let published = one.publish("live.example", "to-ken_1", "to-ken_1.thumbprint").unwrap();
        assert_eq!(other.http_response("to-ken_1").unwrap(), "to-ken_1.thumbprint");
        assert_eq!(other.alpn_response("LIVE.example").unwrap(), "to-ken_1.thumbprint");
        for token in ["", "to-ken", "../http-to-ken_1", "to-ken_1/", &"a".repeat(5000)] {
            assert_eq!(other.http_response(token), None, "{token}");
        }
        assert_eq!(other.alpn_response("other.example"), None);
        drop(published);
        assert_eq!((other.http_response("to-ken_1"), other.alpn_response("live.example")), (None, None));
    }

    #[test]
    fn files_are_for_their_owner_alone_and_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let storage = storage(folder.path());
        for pem in ["one", "two"] {
            storage.store_certificate("live.example", pem).unwrap();
            assert_eq!(fs::read_to_string(storage.certificate("live.example")).unwrap(), pem);
        }
        let file = storage.certificate("live.example");
        let certificates = file.parent().unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(certificates).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(certificates).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn each_directory_has_a_folder_of_its_own() {
        assert_eq!(
            folder_of("https://acme-v02.api.letsencrypt.org/directory"),
            "acme-v02.api.letsencrypt.org-directory"
        );
        assert_eq!(folder_of("https://../../x"), "-..-x");
    }
}
