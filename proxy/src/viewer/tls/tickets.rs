//! Session tickets with keys from files, so that all edges, and an edge after its restart, resume sessions of
//! each other.
//!
//! A file has the form of nginx's `ssl_session_ticket_key`: 48 or 80 random bytes, of which the first 16 are
//! the name of the key. The others are a secret. From it and from a random salt, each ticket gets an AES-256
//! key of its own (HKDF, RFC 5869) and is sealed with it in GCM: no nonce repeats, however many tickets one
//! secret encrypts.
//!
//! Ticket: name (16), salt (24), sealed: time of issue (8, big-endian), session.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, rand};
use rustls::server::ProducesTickets;

use crate::clock;

/// Tickets whose keys come from files.
#[derive(Debug)]
pub(super) struct FileTicketer(ArcSwap<Vec<Secret>>);

/// A file of a ticket key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TicketKeyError {
    /// It cannot be read.
    #[error("{0}: {1}")]
    Unreadable(String, std::io::Error),
    /// It has another length.
    #[error("{0}: a ticket key has 48 or 80 random bytes, and this file has {1}")]
    Length(String, usize),
}

/// The secret of one file.
#[derive(Debug)]
struct Secret {
    name: [u8; NAME_LEN],
    secret: hkdf::Prk,
}

const NAME_LEN: usize = 16;
const SALT_LEN: usize = 24;
const TIME_LEN: usize = 8;

/// How long a session may be resumed, in seconds: as long as with keys that the node makes itself.
const LIFETIME_SECS: u32 = 12 * 60 * 60;

impl FileTicketer {
    /// Reads the files; there is at least one.
    pub(super) fn load(files: &[String]) -> Result<Arc<Self>, TicketKeyError> {
        Ok(Arc::new(Self(ArcSwap::from_pointee(read(files)?))))
    }

    /// Reads the files again, and uses their keys from now on.
    pub(super) fn reload(&self, files: &[String]) -> Result<(), TicketKeyError> {
        self.0.store(Arc::new(read(files)?));
        Ok(())
    }
}

impl ProducesTickets for FileTicketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME_SECS
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        self.0.load().first()?.seal(session, unix_secs())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, sealed) = ticket.split_at_checked(NAME_LEN)?;
        let secrets = self.0.load();
        // Two files may have the same name of a key by mistake.
        let mut fitting = secrets.iter().filter(|secret| secret.name == name);
        fitting.find_map(|secret| secret.open(sealed, unix_secs()))
    }
}

impl Secret {
    fn new(bytes: &[u8]) -> Option<Self> {
        let (name, secret) = bytes.split_first_chunk::<NAME_LEN>()?;
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, b"tidegate session tickets").extract(secret);
        Some(Self { name: *name, secret })
    }

    fn seal(&self, session: &[u8], now: u64) -> Option<Vec<u8>> {
        let mut salt = [0; SALT_LEN];
        rand::fill(&mut salt).ok()?;
        let mut sealed = [&now.to_be_bytes(), session].concat();
        self.key(&salt)?.seal_in_place_append_tag(nonce(), Aad::from(self.name), &mut sealed).ok()?;
        Some([&self.name[..], &salt[..], &sealed[..]].concat())
    }

    fn open(&self, sealed: &[u8], now: u64) -> Option<Vec<u8>> {
        let (salt, sealed) = sealed.split_first_chunk::<SALT_LEN>()?;
        let mut sealed = sealed.to_vec();
        let opened = self.key(salt)?.open_in_place(nonce(), Aad::from(self.name), &mut sealed).ok()?;
        let (issued, session) = opened.split_first_chunk::<TIME_LEN>()?;
        // The clock of another edge may be a little ahead.
        let age = now.saturating_sub(u64::from_be_bytes(*issued));
        (age < u64::from(LIFETIME_SECS)).then(|| session.to_vec())
    }

    /// The key of one ticket.
    fn key(&self, salt: &[u8; SALT_LEN]) -> Option<LessSafeKey> {
        let info: [&[u8]; 1] = [salt];
        let derived = self.secret.expand(&info, &AES_256_GCM).ok()?;
        Some(LessSafeKey::new(UnboundKey::from(derived)))
    }
}

/// Every key encrypts one ticket, so that its nonce may be constant.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

fn read(files: &[String]) -> Result<Vec<Secret>, TicketKeyError> {
    let secrets = files.iter().map(|file| {
        let bytes = std::fs::read(file).map_err(|error| TicketKeyError::Unreadable(file.clone(), error))?;
        let secret = Secret::new(&bytes).filter(|_| matches!(bytes.len(), 48 | 80));
        secret.ok_or_else(|| TicketKeyError::Length(file.clone(), bytes.len()))
    });
    secrets.collect()
}

fn unix_secs() -> u64 {
    clock::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(byte: u8, len: usize) -> Secret {
        Secret::new(&vec![byte; len]).unwrap()
    }

    #[test]
    fn a_ticket_opens_with_its_secret_alone_and_unchanged() {
        let session = b"the state of a session";
        for len in [48, 80] {
            let ticket = secret(7, len).seal(session, 1000).unwrap();
            let sealed = &ticket[NAME_LEN..];
            assert_eq!(secret(7, len).open(sealed, 1000).unwrap(), session);
            assert_eq!(secret(8, len).open(sealed, 1000), None);
            assert_ne!(secret(7, len).seal(session, 1000).unwrap(), ticket);
            for at in 0..sealed.len() {
                let mut changed = sealed.to_vec();
                changed[at] ^= 1;
                assert_eq!(secret(7, len).open(&changed, 1000), None, "byte {at}");
                assert_eq!(secret(7, len).open(&sealed[..at], 1000), None, "{at} bytes");
            }
        }
    }

    #[test]
    fn a_ticket_ends_with_its_lifetime() {
        let ticket = secret(7, 80).seal(b"session", 1000).unwrap();
        let opened = |now| secret(7, 80).open(&ticket[NAME_LEN..], now).is_some();
        let end = 1000 + u64::from(LIFETIME_SECS);
        assert!(opened(1000) && opened(990) && opened(end - 1) && !opened(end));
    }

    #[test]
    fn the_first_key_encrypts_and_all_decrypt() {
        let ticketer = |bytes: &[u8]| {
            let secrets = bytes.iter().map(|byte| secret(*byte, 80)).collect();
            FileTicketer(ArcSwap::from_pointee(secrets))
        };
        let old = ticketer(&[1]).encrypt(b"session").unwrap();
        let rotated = ticketer(&[2, 1]);
        assert_eq!(rotated.decrypt(&old).unwrap(), b"session");
        let new = rotated.encrypt(b"session").unwrap();
        assert_eq!(ticketer(&[1]).decrypt(&new), None);
        assert_eq!(ticketer(&[3, 2]).decrypt(&new).unwrap(), b"session");
        assert_eq!(rotated.decrypt(b"short"), None);
    }
}
