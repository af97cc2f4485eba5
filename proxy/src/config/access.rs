//! Client addresses and access in the configuration: whom proxies may name, and who may connect.

use serde::{Deserialize, Serialize};
use tidegate_access::rules::Hosts;
use tidegate_access::{Cidr, Country, Rules};

use super::check::Breach;

/// Whether the connections of a listener begin with a header of the PROXY protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyProtocol {
    /// They do not.
    #[default]
    Off,
    /// Each begins with one, of version 1 or 2. Only the trusted proxies may connect.
    On,
}

/// The header field by which a trusted proxy names the client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RealIpHeader {
    /// None: the client is the peer of the connection, or the one that its PROXY header names.
    Off,
    /// `X-Forwarded-For`.
    #[default]
    #[serde(rename = "x-forwarded-for")]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// What the access log says of the client's address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoggedAddresses {
    /// The whole address.
    #[default]
    Full,
    /// Its network: 24 bits of IPv4, 48 bits of IPv6.
    Truncated,
    /// A keyed hash. The key is random and replaced each day (UTC), so that a client is known for a day.
    Hashed,
    /// Nothing.
    Off,
}

/// What viewers see of the tier in the fields of responses and in error pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expose {
    /// `Via`, `Cache-Status`, `X-Cache`, `Proxy-Status`, `Server-Timing`, and the reason of an error.
    #[default]
    All,
    /// None of them.
    None,
}

/// The database of countries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Geoip {
    /// A `MaxMind` file with countries, such as `GeoLite2-Country.mmdb`. Read again when it changes.
    pub database: Option<String>,
}

/// Who may watch a site.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Access {
    /// Networks that may watch; without any, all.
    pub allow: Vec<Cidr>,
    /// Networks that may not watch, also within `allow`.
    pub deny: Vec<Cidr>,
    /// Countries that may watch; without any, all.
    pub allow_countries: Vec<Country>,
    /// Countries that may not watch.
    pub deny_countries: Vec<Country>,
    /// Hosts of pages that `Referer` may name; without any, all. `none` is a request without the field.
    pub referers: Vec<String>,
    /// Hosts of pages that `Origin` may name; without any, all. `none` is a request without the field.
    pub origins: Vec<String>,
}

impl Access {
    /// The rules; `None` if there are none.
    pub(crate) fn rules(&self) -> Option<Rules> {
        let rules = Rules {
            allow: self.allow.iter().collect(),
            deny: self.deny.iter().collect(),
            allow_countries: self.allow_countries.clone(),
            deny_countries: self.deny_countries.clone(),
            referers: Hosts::new(&self.referers),
            origins: Hosts::new(&self.origins),
        };
        (!rules.is_empty()).then_some(rules)
    }

    /// Whether a rule needs the database of countries.
    pub fn needs_countries(&self) -> bool {
        !self.allow_countries.is_empty() || !self.deny_countries.is_empty()
    }

    /// Checks the patterns.
    ///
    /// # Errors
    /// The first one that is no host.
    pub(crate) fn check(&self) -> Result<(), Breach> {
        for (field, patterns) in [("referers", &self.referers), ("origins", &self.origins)] {
            if let Some(pattern) = patterns.iter().find(|pattern| !Hosts::is_pattern(pattern)) {
                let message =
                    format!("{pattern:?} is not a host; write \"www.example\", \"*.example\" or \"none\"");
                return Err(Breach::new(&["site", "access", field], message));
            }
        }
        Ok(())
    }
}
