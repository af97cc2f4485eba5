//! Where a source is: `http://host:port/base`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The address of a source as it stands in a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    tls: bool,
    host: String,
    port: u16,
    base: String,
}

/// Why an address cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Neither `http://` nor `https://`.
    #[error("{0:?} must begin with http:// or https://")]
    Scheme(String),
    /// Nothing between the scheme and the path.
    #[error("{0:?} names no host")]
    Host(String),
    /// Not a number from 1 to 65535.
    #[error("{0:?} has a port that is not a number from 1 to 65535")]
    Port(String),
    /// A query, a fragment or credentials.
    #[error("{0:?} may hold only scheme, host, port and a base path")]
    Extra(String),
}

impl Address {
    /// Plain HTTP on a host that is known to be one.
    pub fn literal(host: &str, port: u16) -> Self {
        Self { tls: false, host: host.to_owned(), port, base: String::new() }
    }

    /// Host name or IP literal (IPv6 without brackets).
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, explicit or the scheme's own.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the source speaks TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The path that goes in front of every request's path; empty or without a slash at its end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The value for a Host header field: the port stands only where it is not the scheme's own.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == default_port(self.tls) { host } else { format!("{host}:{}", self.port) }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (tls, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(AddressError::Scheme(text.to_owned())),
        };
        if rest.contains(['?', '#', '@', ' ']) {
            return Err(AddressError::Extra(text.to_owned()));
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = split_port(authority).ok_or_else(|| AddressError::Port(text.to_owned()))?;
        if host.is_empty() {
            return Err(AddressError::Host(text.to_owned()));
        }
        let base = path.trim_end_matches('/');
        let base = if base.is_empty() { String::new() } else { format!("/{base}") };
        Ok(Self {
            tls,
            host: host.to_ascii_lowercase(),
            port: port.unwrap_or_else(|| default_port(tls)),
            base,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.base)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// Host and port; `None` where the port is not one.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        return match after.strip_prefix(':') {
            Some(port) => Some((host, Some(nonzero(port)?))),
            None => after.is_empty().then_some((host, None)),
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((host, Some(nonzero(port)?))),
        None => Some((authority, None)),
    }
}

fn nonzero(port: &str) -> Option<u16> {
    port.parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_all_their_forms() {
        for (text, authority, base) in [
            ("http://origin.example", "origin.example", ""),
            ("http://Origin.example:8088/live/", "origin.example:8088", "/live"),
            ("https://[::1]:8443/a/b", "[::1]:8443", "/a/b"),
            ("https://origin.example:443", "origin.example", ""),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.authority().as_str(), address.base()), (authority, base), "{text}");
        }
    }

    #[test]
    fn a_wrong_address_says_what_is_wrong() {
        for (text, error) in [
            ("origin:80", AddressError::Scheme("origin:80".into())),
            ("http://:80", AddressError::Host("http://:80".into())),
            ("http://a:0", AddressError::Port("http://a:0".into())),
            ("http://a:70000", AddressError::Port("http://a:70000".into())),
            ("http://u@a", AddressError::Extra("http://u@a".into())),
        ] {
            assert_eq!(text.parse::<Address>().unwrap_err(), error);
        }
    }
}
