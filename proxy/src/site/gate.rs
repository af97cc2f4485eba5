//! The gate of a site: it finds the token of a request and checks it.
//!
//! Keys and revocations are files, which are read again when they change. A file that cannot be used leaves
//! the keys as they are: a mistake in a key file must not lock all viewers out.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use tidegate_access::token::{Grant, Refusal, Visit, in_path, verify};

use super::config::token::{Carrier, Token};
use super::token_files::{self, Stamp, TokenFiles};
use crate::limits::TokenLimit;

/// The check of tokens of one site.
#[derive(Debug)]
pub struct Gate {
    site: Box<str>,
    config: Token,
    files: ArcSwap<TokenFiles>,
    /// The files as they were when they could not be used: a fault is logged once.
    unusable: Mutex<Vec<Stamp>>,
    limit: Option<TokenLimit>,
}

/// A request's target without its token, and the token.
#[derive(Debug)]
pub(crate) struct Carried<'a> {
    pub(crate) target: Cow<'a, str>,
    pub(crate) token: Option<(Carrier, Cow<'a, str>)>,
}

impl Carried<'_> {
    /// The same with text of its own.
    pub(crate) fn into_owned(self) -> Carried<'static> {
        Carried {
            target: Cow::Owned(self.target.into_owned()),
            token: self.token.map(|(carrier, token)| (carrier, Cow::Owned(token.into_owned()))),
        }
    }
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
        Some(Self {
            site: site.into(),
            config: config.clone(),
            files: ArcSwap::from_pointee(files),
            unusable: Mutex::default(),
            limit: TokenLimit::new(config.requests_per_second, config.requests_burst),
        })
    }

    /// Reads the files again if one of them has changed. Blocks on the file system.
    pub(crate) fn reload(&self) {
        let stamps = token_files::stamps(&self.config);
        if stamps == self.files.load().stamps || stamps == *self.unusable.lock() {
            return;
        }
        match TokenFiles::load(&self.config) {
            Ok(files) => {
                tracing::info!(site = %self.site, keys = files.keys.all().len(), revoked = files.revoked.len(),
                    "the token files were read again");
                self.files.store(Arc::new(files));
            }
            Err(fault) => {
                *self.unusable.lock() = stamps;
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
        self.takes(Carrier::Path)
    }

    /// The limit for the requests with one token, if there is one.
    pub(crate) fn limit(&self) -> Option<&TokenLimit> {
        self.limit.as_ref()
    }

    /// The name of the query parameter.
    pub(crate) fn parameter(&self) -> &str {
        &self.config.parameter
    }

    fn takes(&self, carrier: Carrier) -> bool {
        self.config.carriers.contains(&carrier)
    }

    /// Takes the token from a target, or else from a `Cookie` field. The parameter is removed even where
    /// the site takes no token from it: it must not reach the key.
    pub(crate) fn take<'a>(&self, target: &'a str, cookies: impl Iterator<Item = &'a [u8]>) -> Carried<'a> {
        let (target, in_path) = match in_path(target).filter(|_| self.takes_paths()) {
            Some((token, "")) => (Cow::Borrowed("/"), Some(token)),
            Some((token, rest)) if rest.starts_with('/') => (Cow::Borrowed(rest), Some(token)),
            Some((token, rest)) => (Cow::Owned(format!("/{rest}")), Some(token)),
            None => (Cow::Borrowed(target), None),
        };
        let (target, in_query) = match target {
            Cow::Borrowed(target) => self.without_parameter(target),
            Cow::Owned(target) => {
                let (target, token) = self.without_parameter(&target);
                (Cow::Owned(target.into_owned()), token.map(|token| Cow::Owned(token.into_owned())))
            }
        };
        let token = in_path.map(|token| (Carrier::Path, percent_decode_str(token).decode_utf8_lossy()));
        let token =
            token.or_else(|| Some((Carrier::Query, in_query.filter(|_| self.takes(Carrier::Query))?)));
        let token = token.or_else(|| {
            let token = self.in_cookies(cookies).filter(|_| self.takes(Carrier::Cookie))?;
            Some((Carrier::Cookie, Cow::Borrowed(token)))
        });
        Carried { target, token }
    }

    /// A target without the parameter, and the first value that it has.
    fn without_parameter<'a>(&self, target: &'a str) -> (Cow<'a, str>, Option<Cow<'a, str>>) {
        let Some((path, query)) = target.split_once('?') else { return (Cow::Borrowed(target), None) };
        let value = |parameter: &'a str| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            (percent_decode_str(name).decode_utf8_lossy() == self.config.parameter).then_some(value)
        };
        let Some(token) = query.split('&').find_map(value) else { return (Cow::Borrowed(target), None) };
        let rest: Vec<&str> = query.split('&').filter(|parameter| value(parameter).is_none()).collect();
        let target = match rest.as_slice() {
            [] => Cow::Borrowed(path),
            rest => Cow::Owned(format!("{path}?{}", rest.join("&"))),
        };
        (target, Some(percent_decode_str(token).decode_utf8_lossy()))
    }

    fn in_cookies<'a>(&self, mut cookies: impl Iterator<Item = &'a [u8]>) -> Option<&'a str> {
        cookies
            .find_map(|field| {
                let crumbs = std::str::from_utf8(field).ok()?.split(';').map(str::trim);
                crumbs.filter_map(|crumb| crumb.split_once('=')).find(|(name, _)| *name == self.config.cookie)
            })
            .map(|(_, value)| value.trim_matches('"'))
    }

    /// The value of a `Cookie` field without the token; `None` if nothing is left.
    pub(crate) fn without_cookie(&self, field: &str) -> Option<String> {
        let is_other =
            |crumb: &&str| crumb.split_once('=').is_none_or(|(name, _)| name != self.config.cookie);
        let rest: Vec<&str> = field.split(';').map(str::trim).filter(is_other).collect();
        (!rest.is_empty()).then(|| rest.join("; "))
    }

    /// Whether the token admits a request at `now`, in seconds since 1970.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check(&self, carried: &Carried<'_>, visit: &Visit<'_>, now: u64) -> Result<(), Refusal> {
        let Some((_, token)) = &carried.token else {
            return if self.config.required { Err(Refusal::Missing) } else { Ok(()) };
        };
        let files = self.files.load();
        VERIFIED.with_borrow_mut(|verified| verified.grant(token, &files)?.admits(visit, now))
    }
}

/// The tokens that this thread has verified lately. A viewer sends one token with each request, and a
/// signature costs more than all other steps of the check.
struct Verified {
    hasher: ahash::RandomState,
    entries: Vec<Option<Entry>>,
}

struct Entry {
    files_id: u64,
    token: Box<str>,
    grant: Grant,
}

impl Verified {
    fn grant(&mut self, token: &str, files: &TokenFiles) -> Result<&Grant, Refusal> {
        self.entries.resize_with(VERIFIED_MAX, || None);
        let index = usize::try_from(self.hasher.hash_one(token) % VERIFIED_MAX as u64).unwrap_or_default();
        let entry = self.entries.get_mut(index).ok_or(Refusal::Malformed)?;
        if !entry.as_ref().is_some_and(|entry| entry.files_id == files.id && *entry.token == *token) {
            let grant = verify(token, &files.keys, &files.revoked)?;
            *entry = Some(Entry { files_id: files.id, token: token.into(), grant });
        }
        entry.as_ref().map(|entry| &entry.grant).ok_or(Refusal::Malformed)
    }
}

/// Tokens that a thread remembers.
const VERIFIED_MAX: usize = 4096;

thread_local! {
    static VERIFIED: RefCell<Verified> =
        RefCell::new(Verified { hasher: ahash::RandomState::new(), entries: Vec::new() });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(carriers: &[Carrier]) -> Gate {
        let config = Token { carriers: carriers.to_vec(), ..Token::default() };
        Gate {
            site: "s".into(),
            config,
            files: ArcSwap::from_pointee(TokenFiles::closed()),
            unusable: Mutex::default(),
            limit: None,
        }
    }

    #[test]
    fn a_token_is_taken_from_its_carrier_and_the_target_loses_it() {
        use Carrier::{Cookie, Path, Query};
        let gate = gate(&[Path, Query, Cookie]);
        for (target, cookie, without, token) in [
            ("/a", "", "/a", None),
            ("/~t/a?b=1", "", "/a?b=1", Some((Path, "t"))),
            ("/%7Et%2E/a", "", "/a", Some((Path, "t."))),
            ("/~t", "", "/", Some((Path, "t"))),
            ("/~t/", "", "/", Some((Path, "t"))),
            ("/~t?b", "", "/?b", Some((Path, "t"))),
            ("/a/~t/b", "", "/a/~t/b", None),
            ("/a?token=t", "", "/a", Some((Query, "t"))),
            ("/a?b=1&token=t&c", "", "/a?b=1&c", Some((Query, "t"))),
            ("/a?token=t&b=1&token=u", "", "/a?b=1", Some((Query, "t"))),
            ("/a?%74oken=t%2E", "", "/a", Some((Query, "t."))),
            ("/a?token", "", "/a", Some((Query, ""))),
            ("/a?tokens=t", "", "/a?tokens=t", None),
            ("/a", "x=1; token=t; y=2", "/a", Some((Cookie, "t"))),
            ("/a", "token=\"t\"", "/a", Some((Cookie, "t"))),
            ("/a", "xtoken=t", "/a", None),
            ("/a?token=t", "token=u", "/a", Some((Query, "t"))),
            ("/~t/a?token=u", "token=v", "/a", Some((Path, "t"))),
        ] {
            let carried = gate.take(target, std::iter::once(cookie.as_bytes()));
            assert_eq!(carried.target, without, "{target}");
            let found = carried.token.as_ref().map(|(carrier, token)| (*carrier, token.as_ref()));
            assert_eq!(found, token, "{target} {cookie}");
        }
    }

    #[test]
    fn a_parameter_never_stays_in_the_target() {
        let gate = gate(&[Carrier::Cookie]);
        let carried = gate.take("/~t/a?token=t&b", std::iter::empty());
        assert_eq!((carried.target.as_ref(), carried.token), ("/~t/a?b", None));
    }

    #[test]
    fn a_cookie_field_loses_the_token_alone() {
        let gate = gate(&[Carrier::Cookie]);
        assert_eq!(gate.without_cookie("a=1;token=t; b"), Some("a=1; b".to_owned()));
        assert_eq!(gate.without_cookie("token=t"), None);
        assert_eq!(gate.without_cookie("token=t; token=u"), None);
    }
}
