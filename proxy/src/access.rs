//! Who a client is, and whether its address may watch: the trusted proxies, the lists of the listeners, the
//! countries, and the secret of a fleet.

pub(crate) mod countries;

use std::sync::{Arc, OnceLock};

use http::HeaderMap;
use tidegate_access::rules::Facts;
use tidegate_access::{CidrSet, ClientAddress, Denial, Rules, forwarded};

use crate::config::access::{Geoip, RealIpHeader};
use crate::config::{self, SECRET};
use crate::observe::operators::{SharedSecret, Unguarded};

use countries::Countries;

/// The rules of a tier about addresses.
#[derive(Debug)]
pub(crate) struct Access {
    trusted: CidrSet,
    header: RealIpHeader,
    /// The lists of the listeners; `None` if there are none.
    listeners: Option<Rules>,
    countries: Arc<Countries>,
    /// The file of the secret that requests must have.
    secret_file: Option<String>,
    /// Its contents. Until they are loaded, no request has the secret.
    secret: OnceLock<SharedSecret>,
}

impl Access {
    /// The rules of these listeners. The countries and the secret are loaded later.
    pub(crate) fn new(listen: &config::Listen, geoip: &Geoip) -> Self {
        let listeners = Rules {
            allow: listen.allow.iter().collect(),
            deny: listen.deny.iter().collect(),
            ..Rules::default()
        };
        Self {
            trusted: listen.trusted_proxies.iter().collect(),
            header: listen.real_ip_header,
            listeners: (!listeners.is_empty()).then_some(listeners),
            countries: Arc::new(Countries::new(geoip.database.as_deref())),
            secret_file: listen.secret.clone(),
            secret: OnceLock::new(),
        }
    }

    /// Whether this address is a proxy that may name another client in a PROXY header.
    pub(crate) fn trusts(&self, address: ClientAddress) -> bool {
        self.trusted.contains(address)
    }

    /// Whether requests from this address may name another client in a header field.
    pub(crate) fn names_clients(&self, address: ClientAddress) -> bool {
        self.header != RealIpHeader::Off && self.trusts(address)
    }

    /// The client of a request from a proxy that may name it.
    pub(crate) fn client(&self, proxy: ClientAddress, headers: &HeaderMap) -> ClientAddress {
        let values = |name: &str| -> Vec<&str> {
            headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default()).collect()
        };
        match self.header {
            RealIpHeader::Off => proxy,
            RealIpHeader::XForwardedFor => {
                forwarded::by_x_forwarded_for(proxy, values("x-forwarded-for").into_iter(), &self.trusted)
            }
            RealIpHeader::Forwarded => {
                forwarded::by_forwarded(proxy, values("forwarded").into_iter(), &self.trusted)
            }
        }
    }

    /// Whether an address may connect.
    pub(crate) fn may_connect(&self, address: ClientAddress) -> bool {
        let facts = Facts { address, country: None, referer: None, origin: None };
        self.listeners.as_ref().is_none_or(|rules| rules.check(&facts).is_ok())
    }

    /// Judges a request by the rules of its site.
    ///
    /// # Errors
    /// The reason to refuse it.
    pub(crate) fn judge(
        &self,
        rules: &Rules,
        address: ClientAddress,
        headers: &HeaderMap,
    ) -> Result<(), Denial> {
        // A value that is no text matches no host.
        let field = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        let country = if rules.need_country() { self.countries.of(address) } else { None };
        rules.check(&Facts { address, country, referer: field("referer"), origin: field("origin") })
    }

    /// Loads the secret, if requests must have one.
    ///
    /// # Errors
    /// When its file cannot be used.
    pub(crate) fn load_secret(&self) -> Result<(), Unguarded> {
        if let Some(file) = &self.secret_file {
            let token = SharedSecret::read(file)?;
            self.secret.get_or_init(|| token);
        }
        Ok(())
    }

    /// Whether requests must have a secret.
    pub(crate) fn needs_secret(&self) -> bool {
        self.secret_file.is_some()
    }

    /// Judges a request by its secret.
    ///
    /// # Errors
    /// It lacks the secret.
    pub(crate) fn judge_secret(&self, headers: &HeaderMap) -> Result<(), Denial> {
        let has_secret = || Some(self.secret.get()?.is(headers.get(&SECRET)?.as_bytes()));
        if self.needs_secret() && has_secret() != Some(true) { Err(Denial::Secret) } else { Ok(()) }
    }

    /// The database of countries.
    pub(crate) fn countries(&self) -> &Arc<Countries> {
        &self.countries
    }
}
