//! The gate of a site: it finds the token of a request and checks it.
//!
//! Keys and revocations are files, which are read again when they change. A file that cannot be used leaves
//! the keys as they are: a mistake in a key file must not lock all viewers out.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tidegate_access::Country;
use tidegate_access::token::{Carried, Carrier, Carriers, Grant, Refusal, Visit, verify};

use super::config::token::Token;
use super::token_files::{self, Stamp, TokenFiles};
use crate::limits::TokenLimit;

/// The check of tokens of one site.
#[derive(Debug)]
pub struct Gate {
    site: Box<str>,
    config: Token,
    carriers: Carriers,
    files: ArcSwap<TokenFiles>,
    /// The id of the files, which costs less to read than the files. It is set after them: a token that was
    /// verified by the files before is verified again from then on.
    files_id: AtomicU64,
    /// The files as they were when they could not be used: a fault is logged once.
    unusable: Mutex<Vec<Stamp>>,
    limit: Option<TokenLimit>,
}

impl Gate {
    /// The gate of a site; `None` if the site has no keys. If its files cannot be read, no token is valid
    /// until they can.
    pub fn new(site: &str, config: &Token) -> Option<Self> {
        if config.keys.is_empty() {
            return None;
        }
        let files = TokenFiles::load(config).unwrap_or_else(|fault| {
            tracing::error!(%site, %fault, "no token is valid");
            TokenFiles::closed()
        });
        let carriers = Carriers {
            accepted: config.carriers.clone(),
            parameter: config.parameter.clone(),
            cookie: config.cookie.clone(),
        };
        Some(Self {
            site: site.into(),
            config: config.clone(),
            carriers,
            files_id: AtomicU64::new(files.id),
            files: ArcSwap::from_pointee(files),
            unusable: Mutex::default(),
            limit: TokenLimit::new(config.requests_per_second, config.requests_burst),
        })
    }

    /// Reads the files again if one of them has changed. Blocks on the file system.
    pub(crate) fn reload(&self) {
        // One after the other: the id must be that of the files.
        let mut unusable = self.unusable.lock();
        let stamps = token_files::stamps(&self.config);
        if stamps == self.files.load().stamps || stamps == *unusable {
            return;
        }
        match TokenFiles::load(&self.config) {
            Ok(files) => {
                tracing::info!(site = %self.site, keys = files.keys.all().len(), revoked = files.revoked.len(),
                    "the token files were read again");
                let id = files.id;
                self.files.store(Arc::new(files));
                self.files_id.store(id, Ordering::Release);
            }
            Err(fault) => {
                *unusable = stamps;
                tracing::warn!(site = %self.site, %fault, "the token files cannot be used; their previous content stays");
            }
        }
    }

    /// Whether another gate has the same configuration.
    pub(crate) fn has_config_of(&self, other: &Self) -> bool {
        self.config == other.config
    }

    /// Whether a token may be in the path.
    pub(crate) fn takes_paths(&self) -> bool {
        self.carriers.accept(Carrier::Path)
    }

    /// The limit for the requests with one token, if there is one.
    pub(crate) fn limit(&self) -> Option<&TokenLimit> {
        self.limit.as_ref()
    }

    /// The name of the query parameter.
    pub(crate) fn parameter(&self) -> &str {
        &self.config.parameter
    }

    /// Takes the token from a target, or else from a `Cookie` field.
    pub(crate) fn take<'a>(&self, target: &'a str, cookies: impl Iterator<Item = &'a [u8]>) -> Carried<'a> {
        self.carriers.take(target, cookies)
    }

    /// The value of a `Cookie` field without the token; `None` if nothing is left.
    pub(crate) fn without_cookie(&self, field: &str) -> Option<String> {
        self.carriers.without_cookie(field)
    }

    /// Whether the token admits a request at `now`, in seconds since 1970. `country` finds the country of the
    /// client, if the token needs it.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check(
        &self,
        carried: &Carried<'_>,
        visit: &Visit<'_>,
        country: impl FnOnce() -> Option<Country>,
        now: u64,
    ) -> Result<(), Refusal> {
        let Some((_, token)) = &carried.token else {
            return if self.config.required { Err(Refusal::Missing) } else { Ok(()) };
        };
        VERIFIED.with_borrow_mut(|verified| {
            let grant = verified.grant(token, self)?;
            let country = if grant.needs_country() { country() } else { None };
            let country = country.as_ref().map(Country::as_str);
            grant.admits(&Visit { country, ..*visit }, now)
        })
    }
}

/// The tokens that this thread has verified lately. A viewer sends one token with each request, and a
/// signature costs more than all other steps of the check.
///
/// A token has one of a few places, by its hash: with one place only, two of a thousand viewers would push
/// each other's token out with each request.
struct Verified {
    hasher: ahash::RandomState,
    sets: Vec<[Option<Entry>; PLACES]>,
}

struct Entry {
    files_id: u64,
    token: Box<str>,
    grant: Grant,
}

impl Verified {
    fn grant(&mut self, token: &str, gate: &Gate) -> Result<&Grant, Refusal> {
        self.sets.resize_with(SETS, Default::default);
        let index = usize::try_from(self.hasher.hash_one(token) % SETS as u64).unwrap_or_default();
        let set = self.sets.get_mut(index).ok_or(Refusal::Malformed)?;
        let files_id = gate.files_id.load(Ordering::Acquire);
        let is_known = |entry: &Entry| entry.files_id == files_id && *entry.token == *token;
        let known = set.iter().position(|entry| entry.as_ref().is_some_and(is_known));
        let place = if let Some(place) = known {
            place
        } else {
            let files = gate.files.load();
            let grant = verify(token, &files.keys, &files.revoked)?;
            // The oldest one leaves.
            set.rotate_right(1);
            set[0] = Some(Entry { files_id: files.id, token: token.into(), grant });
            0
        };
        set.get(place).and_then(Option::as_ref).map(|entry| &entry.grant).ok_or(Refusal::Malformed)
    }
}

/// Tokens that a thread remembers: [`PLACES`] in each set.
const SETS: usize = 1024;
const PLACES: usize = 4;

thread_local! {
    static VERIFIED: RefCell<Verified> =
        RefCell::new(Verified { hasher: ahash::RandomState::new(), sets: Vec::new() });
}
