//! Orders certificates before they expire: one task for each node, one order at a time in a storage.

use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use ahash::RandomState;
use tidegate_upstream::pem;
use tokio::task::spawn_blocking;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::lock::{self, Lock};
use super::order::{self, OrderError};
use super::pause::Pause;
use super::storage::Storage;
use crate::clock;
use crate::config::acme::Acme;
use crate::observe::metrics::Ordered;
use crate::tier::Tier;

/// The interval at which the certificates in the storage are looked at.
const INTERVAL: Duration = Duration::from_secs(5);

/// The certificates of one node.
struct Renewal {
    tier: Arc<Tier>,
    acme: Acme,
    storage: Storage,
    random: RandomState,
}

/// Keeps the certificates of the configured hosts, until the node drains.
pub(crate) async fn run(tier: Arc<Tier>, acme: Acme) {
    let draining = tier.draining().token().clone();
    let renewal = Renewal { tier, storage: Storage::of(&acme), acme, random: RandomState::new() };
    // An order that the drain cancels releases lock and challenges.
    let _drained = draining.run_until_cancelled(renewal.keep_current()).await;
}

impl Renewal {
    async fn keep_current(&self) {
        let mut requested = self.tier.reread_requests();
        let mut is_forced = false;
        let mut reported = None;
        loop {
            let renewed = self.renew_all(is_forced).await;
            // The same trouble is reported once.
            let trouble = renewed.err().map(|error| error.to_string());
            if let Some(error) = trouble.as_ref().filter(|_| trouble != reported) {
                tracing::warn!(node = self.tier.node(), storage = self.acme.storage, %error, "ACME storage cannot be used");
            }
            reported = trouble;
            is_forced = tokio::select! {
                changed = requested.changed() => changed.is_ok(),
                () = tokio::time::sleep(INTERVAL) => false,
            };
        }
    }

    /// Orders the certificates that are due, one after the other. If it is forced, pauses do not count.
    async fn renew_all(&self, is_forced: bool) -> io::Result<()> {
        for host in self.acme.hosts() {
            let (storage, random) = (self.storage.clone(), self.random.hash_one(&host));
            let due = {
                let host = host.clone();
                spawn_blocking(move || take_if_due(&storage, &host, random, is_forced)).await??
            };
            if let Some(lock) = due {
                let ordered = self.obtain(&host, &lock).await;
                self.account(&host, ordered)?;
                drop(lock);
            }
        }
        Ok(())
    }

    /// Makes an order, and touches the lock meanwhile.
    async fn obtain(&self, host: &str, lock: &Lock) -> Result<(), OrderError> {
        let mut ordering = pin!(order::obtain(&self.acme, &self.storage, host));
        loop {
            tokio::select! {
                ordered = &mut ordering => return ordered,
                () = tokio::time::sleep(lock::REFRESH) => lock.refresh()?,
            }
        }
    }

    /// Counts and logs an order that has ended.
    fn account(&self, host: &str, ordered: Result<(), OrderError>) -> io::Result<()> {
        let file = self.storage.pause(host);
        match ordered {
            Ok(()) => {
                self.tier.metrics().tls.ordered(Ordered::Success);
                tracing::info!(node = self.tier.node(), host, "certificate obtained by ACME");
                Pause::clear(&file)
            }
            Err(error) => {
                let now = unix_secs();
                let random = self.random.hash_one((host, now));
                let pause = Pause::after(Pause::read(&file), error.cause(), now, random);
                self.tier.metrics().tls.ordered(Ordered::Failure);
                let retry_in_secs = pause.until.saturating_sub(now);
                tracing::warn!(node = self.tier.node(), host, %error, retry_in_secs, "ACME order failed");
                pause.write(&file)
            }
        }
    }
}

/// Takes the lock if a host needs a new certificate; `None` if it does not, or another node orders. It uses
/// files.
fn take_if_due(storage: &Storage, host: &str, random: u64, is_forced: bool) -> io::Result<Option<Lock>> {
    let is_due = || {
        let is_paused =
            !is_forced && Pause::read(&storage.pause(host)).is_some_and(|pause| pause.until > unix_secs());
        !is_paused && is_due(&storage.certificate(host), random)
    };
    if !is_due() {
        return Ok(None);
    }
    let lock = Lock::take(storage)?;
    // Another node may have just stored one.
    let lock = lock.filter(|_| is_due());
    if lock.is_some() {
        storage.withdraw_all();
    }
    Ok(lock)
}

/// Whether the certificate in a file has to be renewed, or cannot be used.
fn is_due(file: &Path, random: u64) -> bool {
    let now = i64::try_from(unix_secs()).unwrap_or(i64::MAX);
    lifetime(file).is_none_or(|(from, until)| now >= due(from, until, random))
}

/// When the certificate in a file begins and ends to be valid, in seconds since 1970.
fn lifetime(file: &Path) -> Option<(i64, i64)> {
    let file = file.to_str()?;
    let certified = pem::certified_key(file, file).ok()?;
    let (_rest, parsed) = X509Certificate::from_der(certified.end_entity_cert().ok()?).ok()?;
    let validity = parsed.validity();
    Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
}

/// The time to renew a certificate: when two thirds of its lifetime have passed, and up to a tenth more, so
/// that the nodes and hosts of many operators do not order in the same instant.
fn due(from: i64, until: i64, random: u64) -> i64 {
    let lifetime = until.saturating_sub(from).max(0);
    let spread = i64::try_from(random % 1024).unwrap_or(0);
    from + lifetime / 3 * 2 + lifetime / 10 * spread / 1024
}

fn unix_secs() -> u64 {
    clock::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_due_after_two_thirds_of_its_lifetime() {
        let day = 86_400;
        assert_eq!(due(0, 90 * day, 0), 60 * day);
        let latest = due(0, 90 * day, 1023);
        assert!((68 * day..69 * day).contains(&latest), "{latest}");
        assert_eq!(due(1000, 1000 + 6 * day, 0), 1000 + 4 * day);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_due() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("live.example.pem");
        assert!(is_due(&file, 0));
        let names = vec!["live.example".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        std::fs::write(&file, made.cert.pem()).unwrap();
        assert!(is_due(&file, 0), "there is no key");
        std::fs::write(&file, made.cert.pem() + &made.signing_key.serialize_pem()).unwrap();
        assert!(!is_due(&file, 0), "it is valid for centuries");
    }
}
