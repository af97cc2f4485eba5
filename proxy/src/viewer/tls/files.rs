//! The files of a TLS listener: read at the start, and again when their contents change.
//!
//! Contents are compared, not times: certificates are replaced by renaming, by switching a symbolic link of a
//! folder above (Kubernetes), or by writing in place, and every one of these changes the contents. A file
//! that cannot be used leaves what it replaces in use.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use ahash::RandomState;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use tidegate_upstream::pem::{self, BadFile};

use super::certificate::Certificate;
use super::names::Names;
use super::resolver::Resolver;
use super::server::{Parts, Protocols, ServerError};
use super::tickets::{FileTicketer, TicketKeyError};
use crate::acme::storage::Storage;
use crate::config::tls::{Certificate as Configured, Listen};

/// The files of a listener, and what was made of them.
#[derive(Debug)]
pub(crate) struct Files {
    pairs: Vec<Pair>,
    parts: Parts,
    config: Arc<ArcSwap<ServerConfig>>,
    client_ca: Option<Watched>,
    ticket_keys: Option<(Watched, Arc<FileTicketer>)>,
    contents: RandomState,
}

/// One certificate in files.
#[derive(Debug)]
struct Pair {
    configured: Configured,
    watched: Watched,
    /// `None` until ACME has obtained it.
    loaded: Option<Certificate>,
}

/// Files that are read together, and a hash of what they contained when they were read last.
#[derive(Debug)]
struct Watched {
    files: Vec<String>,
    seen: u64,
}

/// Files that were read again.
#[derive(Debug)]
pub(crate) struct Reloaded {
    /// The first of the files.
    pub(crate) file: String,
    /// Why they cannot be used; the previous contents stay in use.
    pub(crate) error: Option<String>,
}

/// Why the files cannot be used at the start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The certificate of the table, or the authorities for clients.
    #[error(transparent)]
    File(#[from] BadFile),
    /// One of the further certificates.
    #[error("{0}")]
    Listed(BadFile),
    /// The authorities for clients cannot be used.
    #[error("{0}")]
    Server(#[from] ServerError),
    /// A key for tickets.
    #[error("{0}")]
    TicketKey(#[from] TicketKeyError),
    /// The cryptography provider has no key for tickets.
    #[error("{0}")]
    Cryptography(#[from] rustls::Error),
}

impl LoadError {
    /// The configuration field at fault.
    pub(super) fn field(&self) -> &[&'static str] {
        match self {
            Self::File(file) => field(file.field(), &["certificate"]),
            Self::Listed(file) => match file.field() {
                "key" => &["certificates", "key"],
                "ocsp_staple" => &["certificates", "ocsp_staple"],
                _ => &["certificates", "certificate"],
            },
            Self::Server(ServerError::Verifier(_)) => &["client_ca"],
            Self::TicketKey(_) => &["ticket_keys"],
            Self::Server(ServerError::Cryptography(_)) | Self::Cryptography(_) => &["certificate"],
        }
    }
}

fn field(name: &str, otherwise: &'static [&'static str]) -> &'static [&'static str] {
    match name {
        "key" => &["key"],
        "ocsp_staple" => &["ocsp_staple"],
        "client_ca" => &["client_ca"],
        _ => otherwise,
    }
}

impl Files {
    /// Reads all files.
    ///
    /// # Errors
    /// The first that cannot be used.
    pub(super) fn load(listen: &Listen, protocols: Protocols) -> Result<Self, LoadError> {
        let contents = RandomState::new();
        let mut pairs = Vec::new();
        if let Some(single) = listen.single() {
            pairs.push(Pair::load(single, &contents)?);
        }
        for configured in &listen.certificates {
            pairs.push(Pair::load(configured.clone(), &contents).map_err(LoadError::Listed)?);
        }
        let storage = listen.acme.as_ref().map(Storage::of);
        for (host, file) in storage.iter().flat_map(Storage::certificates) {
            pairs.push(Pair::awaited(host, &file, &contents));
        }
        let ticket_keys = if listen.ticket_keys.is_empty() {
            None
        } else {
            let watched = Watched::new(listen.ticket_keys.clone(), &contents);
            Some((watched, FileTicketer::load(&listen.ticket_keys)?))
        };
        let parts = Parts {
            min_version: listen.min_version,
            protocols,
            has_acme: storage.is_some(),
            resolver: Arc::new(Resolver::new(names(&pairs), listen.strict_sni, storage)),
            ticketer: match &ticket_keys {
                Some((_, ticketer)) => Arc::clone(ticketer) as _,
                // The node's own key changes every few hours.
                None => Ticketer::new()?,
            },
        };
        let authorities = listen.client_ca.as_ref().map(|file| pem::authorities("client_ca", file));
        let config = ArcSwap::from_pointee(parts.config(authorities.transpose()?)?);
        let client_ca = listen.client_ca.as_ref().map(|file| Watched::new(vec![file.clone()], &contents));
        Ok(Self { pairs, parts, config: Arc::new(config), client_ca, ticket_keys, contents })
    }

    /// The configuration for handshakes, which a reload replaces.
    pub(super) fn config(&self) -> Arc<ArcSwap<ServerConfig>> {
        Arc::clone(&self.config)
    }

    /// Reads the files whose contents have changed; all of them if `is_forced`. It blocks.
    pub(crate) fn reload(&mut self, is_forced: bool) -> Vec<Reloaded> {
        let mut all = self.reload_certificates(is_forced);
        all.extend(self.reload_ticket_keys(is_forced));
        all.extend(self.reload_client_ca(is_forced));
        all
    }

    /// The certificate files, and when the certificates in use expire, in seconds since 1970.
    pub(crate) fn expiries(&self) -> impl Iterator<Item = (&str, i64)> {
        self.pairs.iter().filter_map(|pair| {
            let loaded = pair.loaded.as_ref()?;
            Some((pair.configured.certificate.as_str(), loaded.not_after))
        })
    }

    fn reload_certificates(&mut self, is_forced: bool) -> Vec<Reloaded> {
        let mut all = Vec::new();
        for pair in &mut self.pairs {
            if (pair.watched.has_changed(&self.contents) || is_forced) && !pair.is_awaited() {
                let loaded = Certificate::load(&pair.configured).map(|loaded| pair.loaded = Some(loaded));
                all.push(pair.watched.reloaded(loaded));
            }
        }
        if all.iter().any(|reloaded| reloaded.error.is_none()) {
            self.parts.resolver.replace(names(&self.pairs));
        }
        all
    }

    fn reload_ticket_keys(&mut self, is_forced: bool) -> Option<Reloaded> {
        let (watched, ticketer) = self.ticket_keys.as_mut()?;
        let is_due = watched.has_changed(&self.contents) || is_forced;
        is_due.then(|| watched.reloaded(ticketer.reload(&watched.files)))
    }

    fn reload_client_ca(&mut self, is_forced: bool) -> Option<Reloaded> {
        let watched = self.client_ca.as_mut()?;
        if !watched.has_changed(&self.contents) && !is_forced {
            return None;
        }
        let file = watched.files.first()?;
        let config = pem::authorities("client_ca", file)
            .map_err(LoadError::from)
            .and_then(|authorities| Ok(self.parts.config(Some(authorities))?));
        Some(watched.reloaded(config.map(|config| self.config.store(Arc::new(config)))))
    }
}

impl Pair {
    fn load(configured: Configured, contents: &RandomState) -> Result<Self, BadFile> {
        let mut files = vec![configured.certificate.clone(), configured.key.clone()];
        files.extend(configured.ocsp_staple.clone());
        // Hashed first: a change between the two is seen as one by the next reload.
        let watched = Watched::new(files, contents);
        let loaded = Certificate::load(&configured)?;
        Ok(Self { configured, watched, loaded: Some(loaded) })
    }

    /// The certificate that ACME obtains for a host: chain and key in one file, which may not exist yet.
    fn awaited(host: &str, file: &Path, contents: &RandomState) -> Self {
        let file = file.to_string_lossy().into_owned();
        let watched = Watched::new(vec![file.clone()], contents);
        let hosts = vec![host.to_owned()];
        let configured = Configured { certificate: file.clone(), key: file, hosts, ..Configured::default() };
        let loaded = Certificate::load(&configured).ok();
        Self { configured, watched, loaded }
    }

    /// Whether ACME has not obtained it yet.
    fn is_awaited(&self) -> bool {
        self.loaded.is_none() && !Path::new(&self.configured.certificate).exists()
    }
}

impl Watched {
    fn new(files: Vec<String>, contents: &RandomState) -> Self {
        let mut watched = Self { files, seen: 0 };
        watched.has_changed(contents);
        watched
    }

    /// Whether the contents differ from those of the call before.
    fn has_changed(&mut self, contents: &RandomState) -> bool {
        let read = |file: &String| std::fs::read(file).map_err(|error| error.kind());
        let now = contents.hash_one(self.files.iter().map(read).collect::<Vec<_>>());
        std::mem::replace(&mut self.seen, now) != now
    }

    fn reloaded<E: Display>(&self, result: Result<(), E>) -> Reloaded {
        Reloaded {
            file: self.files.first().cloned().unwrap_or_default(),
            error: result.err().map(|error| error.to_string()),
        }
    }
}

fn names(pairs: &[Pair]) -> Names {
    let awaited = pairs.iter().filter(|pair| pair.loaded.is_none());
    let awaited = awaited.flat_map(|pair| pair.configured.hosts.iter().map(String::as_str));
    Names::of(pairs.iter().filter_map(|pair| pair.loaded.as_ref()), awaited)
}
