//! Who may watch by address, country, `Referer` and `Origin`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::address::ClientAddress;
use crate::cidr::CidrSet;

/// The rules of one site or one listener. An empty rule allows everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// If there are any, other networks are refused.
    pub allow: CidrSet,
    /// Networks that are refused, also within `allow`.
    pub deny: CidrSet,
    /// If there are any, other countries are refused, and so is an address without a country.
    pub allow_countries: Vec<Country>,
    /// Countries that are refused.
    pub deny_countries: Vec<Country>,
    /// The hosts of pages that may link to the site.
    pub referers: Hosts,
    /// The hosts of pages whose scripts may request from the site.
    pub origins: Hosts,
}

/// The facts by which a request is judged.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The address of the client.
    pub address: ClientAddress,
    /// Its country, if it is known.
    pub country: Option<Country>,
    /// The value of `Referer`.
    pub referer: Option<&'a str>,
    /// The value of `Origin`.
    pub origin: Option<&'a str>,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The address is denied, or it is not allowed.
    #[error("the address is not allowed")]
    Address,
    /// The country is denied, or it is not allowed.
    #[error("the country is not allowed")]
    Country,
    /// `Referer` names a page that is not allowed.
    #[error("the page that links here is not allowed")]
    Referer,
    /// `Origin` names a page that is not allowed.
    #[error("the page that requests this is not allowed")]
    Origin,
    /// The request has no secret, or another one.
    #[error("the secret of this server's clients is missing or wrong")]
    Secret,
}

/// A country, by the two letters of ISO 3166-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country([u8; 2]);

/// Text that is not a country.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a country; write the two letters of ISO 3166-1, such as \"DE\"")]
pub struct CountryError(String);

/// Hosts by name: `www.example`, all hosts of a domain (`*.example`), or `none` for a request without the
/// field. Without any, all are allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts(Vec<String>);

impl Rules {
    /// Whether there is a rule at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a rule needs the country of the client.
    pub fn need_country(&self) -> bool {
        !self.allow_countries.is_empty() || !self.deny_countries.is_empty()
    }

    /// Whether a rule needs header fields of the request.
    pub fn need_fields(&self) -> bool {
        !self.referers.0.is_empty() || !self.origins.0.is_empty()
    }

    /// Judges a request.
    ///
    /// # Errors
    /// The first reason to refuse it, in the order of [`Denial`].
    pub fn check(&self, facts: &Facts<'_>) -> Result<(), Denial> {
        let is_listed = self.allow.is_empty() || self.allow.contains(facts.address);
        if !is_listed || self.deny.contains(facts.address) {
            return Err(Denial::Address);
        }
        let is_in = |countries: &[Country]| facts.country.is_some_and(|country| countries.contains(&country));
        if (!self.allow_countries.is_empty() && !is_in(&self.allow_countries)) || is_in(&self.deny_countries)
        {
            return Err(Denial::Country);
        }
        if !self.referers.allow(facts.referer) {
            return Err(Denial::Referer);
        }
        if !self.origins.allow(facts.origin) {
            return Err(Denial::Origin);
        }
        Ok(())
    }
}

impl Denial {
    /// Every reason.
    pub const ALL: &'static [Self] =
        &[Self::Address, Self::Country, Self::Referer, Self::Origin, Self::Secret];

    /// The code in error bodies, logs and metrics. It does not change.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address_denied",
            Self::Country => "country_denied",
            Self::Referer => "referer_denied",
            Self::Origin => "origin_denied",
            Self::Secret => "secret_denied",
        }
    }
}

impl Hosts {
    /// These patterns.
    pub fn new(patterns: &[String]) -> Self {
        Self(patterns.iter().map(|pattern| pattern.to_ascii_lowercase()).collect())
    }

    /// Whether a text can be a pattern: a host without scheme, port and path.
    pub fn is_pattern(text: &str) -> bool {
        let name = text.strip_prefix("*.").unwrap_or(text);
        !name.is_empty() && !name.contains(['/', ':', '*', ' '])
    }

    /// Whether the value of a field is allowed. A value without a host, such as `null`, is not.
    fn allow(&self, value: Option<&str>) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return self.0.iter().any(|pattern| pattern == NONE);
        };
        let Some(host) = host(value) else { return false };
        let host = host.to_ascii_lowercase();
        self.0.iter().any(|pattern| match pattern.strip_prefix('*') {
            Some(suffix) => host.ends_with(suffix),
            None => *pattern == host && pattern != NONE,
        })
    }
}

/// The host of a URL, without user and port.
fn host(url: &str) -> Option<&str> {
    let (_scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let (_user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if host.starts_with('[') {
        return host.split_inclusive(']').next();
    }
    host.split(':').next().filter(|host| !host.is_empty())
}

/// The pattern for a request without the field.
const NONE: &str = "none";

impl Country {
    /// The country with this code, in any case; `None` for other text.
    pub fn new(code: &str) -> Option<Self> {
        let code: [u8; 2] = code.as_bytes().try_into().ok()?;
        code.iter().all(u8::is_ascii_alphabetic).then(|| Self(code.map(|letter| letter.to_ascii_uppercase())))
    }

    /// Its code in capitals.
    pub fn as_str(&self) -> &str {
        // Both are ASCII letters.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl TryFrom<String> for Country {
    type Error = CountryError;

    fn try_from(text: String) -> Result<Self, CountryError> {
        Self::new(&text).ok_or(CountryError(text))
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.as_str().to_owned()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::cidr::Cidr;

    fn set(networks: &[&str]) -> CidrSet {
        let networks: Vec<Cidr> = networks.iter().map(|text| text.parse().unwrap()).collect();
        networks.iter().collect()
    }

    fn facts(address: &str) -> Facts<'static> {
        let address = address.parse::<IpAddr>().unwrap().into();
        Facts { address, country: None, referer: None, origin: None }
    }

    fn hosts(patterns: &[&str]) -> Hosts {
        Hosts::new(&patterns.iter().map(|pattern| (*pattern).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_denied_network_is_refused_within_an_allowed_one() {
        let rules = Rules { allow: set(&["10.0.0.0/8"]), deny: set(&["10.1.0.0/16"]), ..Rules::default() };
        for (address, result) in
            [("10.0.0.1", Ok(())), ("10.1.0.1", Err(Denial::Address)), ("192.0.2.1", Err(Denial::Address))]
        {
            assert_eq!(rules.check(&facts(address)), result, "{address}");
        }
        assert!(Rules::default().is_empty() && Rules::default().check(&facts("::1")).is_ok());
    }

    #[test]
    fn an_address_without_a_country_is_allowed_only_if_no_country_must_be() {
        let (germany, austria) = (Country::new("de").unwrap(), Country::new("AT").unwrap());
        let of = |country| Facts { country, ..facts("192.0.2.1") };
        let allowed = Rules { allow_countries: vec![germany], ..Rules::default() };
        assert_eq!(allowed.check(&of(Some(germany))), Ok(()));
        assert_eq!(allowed.check(&of(Some(austria))), Err(Denial::Country));
        assert_eq!(allowed.check(&of(None)), Err(Denial::Country));
        let denied = Rules { deny_countries: vec![germany], ..Rules::default() };
        assert_eq!(denied.check(&of(Some(germany))), Err(Denial::Country));
        assert_eq!(denied.check(&of(None)), Ok(()));
        assert!(Country::new("deu").is_none() && Country::new("d1").is_none());
    }

    #[test]
    fn pages_are_allowed_by_their_host() {
        let rules = Rules { referers: hosts(&["www.example", "*.school.example"]), ..Rules::default() };
        for (referer, is_allowed) in [
            (Some("https://www.example/watch?x=1"), true),
            (Some("https://WWW.example:8443"), true),
            (Some("https://a.school.example/"), true),
            (Some("https://school.example/"), false),
            (Some("https://evilschool.example/"), false),
            (Some("https://www.example.evil.example/"), false),
            (Some("https://www.example@evil.example/"), false),
            (Some("https://evil.example/?https://www.example/"), false),
            (Some("https://evil.example\\@www.example/"), false),
            (Some("www.example"), false),
            (Some(""), false),
            (None, false),
        ] {
            let expected = if is_allowed { Ok(()) } else { Err(Denial::Referer) };
            assert_eq!(rules.check(&Facts { referer, ..facts("::1") }), expected, "{referer:?}");
        }
        let rules = Rules { origins: hosts(&["none", "www.example"]), ..Rules::default() };
        for (origin, expected) in [
            (None, Ok(())),
            (Some("https://www.example"), Ok(())),
            (Some("null"), Err(Denial::Origin)),
            (Some("https://none"), Err(Denial::Origin)),
        ] {
            assert_eq!(rules.check(&Facts { origin, ..facts("::1") }), expected, "{origin:?}");
        }
    }
}
