//! The address of one upstream, or of many.
//!
//! | form | meaning |
//! |---|---|
//! | `http://host:port/base` | one upstream, at any address of the host |
//! | `http://host:port/base#192.0.2.1` | one upstream, at this address; the host is only its name |
//! | `dns+http://host:port/base` | every address of the host is an upstream |
//! | `srv+http://_service._proto.name/base` | every SRV record is an upstream, on its own port |
//!
//! Each of them also works with `https`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::connect::dns::{Discover, Member};

/// The address of one upstream, or of many, as a configuration writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    tls: bool,
    behind: Behind,
    host: String,
    /// The scheme's default port, where SRV records have the port.
    port: u16,
    base: String,
}

/// What is behind the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Behind {
    /// One server, at any address of the name.
    One,
    /// One server, at this address.
    Pinned(IpAddr),
    /// A server at each address.
    Addresses,
    /// A server for each SRV record.
    Services,
}

/// Why an address is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// None of the schemes.
    #[error(
        "{0:?} must begin with http:// or https://, with dns+ or srv+ before it where a name has many members"
    )]
    Scheme(String),
    /// No host between the scheme and the path.
    #[error("{0:?} names no host")]
    Host(String),
    /// Not a number from 1 to 65535.
    #[error("{0:?} has a port that is not a number from 1 to 65535")]
    Port(String),
    /// A query, a fragment that is not an address, or credentials.
    #[error(
        "{0:?} may hold only scheme, host, port and a base path, and after a # the IP address to connect to"
    )]
    Extra(String),
    /// `dns+` with an IP address.
    #[error("{0:?} has an IP address after dns+; write a host name")]
    Literal(String),
    /// `srv+` without the name of a service.
    #[error(
        "{0:?} names no service; write srv+http://_service._proto.name, such as srv+http://_http._tcp.shields.example"
    )]
    Service(String),
    /// `srv+` with a port.
    #[error("{0:?} has a port, but SRV records have the port")]
    ServicePort(String),
}

impl Address {
    /// Plain HTTP on a valid host.
    pub fn literal(host: &str, port: u16) -> Self {
        Self { tls: false, behind: Behind::One, host: host.to_owned(), port, base: String::new() }
    }

    /// Host name or IP literal (IPv6 without brackets); for a service, its name.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, explicit or the scheme's default. Where SRV records have the port, only [`Address::member`]
    /// knows it.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the upstream uses TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The prefix of every request's path; empty, or without a slash at its end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The value for a Host header field: without the port, if it is the scheme's default.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == default_port(self.tls) { host } else { format!("{host}:{}", self.port) }
    }

    /// What DNS is to find where there are many upstreams; `None` for one.
    pub fn discover(&self) -> Option<Discover> {
        match self.behind {
            Behind::One | Behind::Pinned(_) => None,
            Behind::Addresses => Some(Discover::Addresses { host: self.host.clone(), port: self.port }),
            Behind::Services => Some(Discover::Services { name: self.host.clone() }),
        }
    }

    /// The address of one member that DNS found: its name for `Host` and TLS, pinned to its address.
    #[must_use]
    pub fn member(&self, member: &Member) -> Self {
        Self {
            tls: self.tls,
            behind: Behind::Pinned(member.address.ip()),
            host: member.host.clone(),
            port: member.address.port(),
            base: self.base.clone(),
        }
    }

    /// The address to connect to, whatever the name resolves to.
    pub fn pin(&self) -> Option<IpAddr> {
        match self.behind {
            Behind::Pinned(ip) => Some(ip),
            _ => None,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = |error: fn(String) -> AddressError| error(text.to_owned());
        let (behind, rest) = match (text.strip_prefix("dns+"), text.strip_prefix("srv+")) {
            (Some(rest), _) => (Behind::Addresses, rest),
            (_, Some(rest)) => (Behind::Services, rest),
            _ => (Behind::One, text),
        };
        let (tls, rest) = match (rest.strip_prefix("http://"), rest.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(wrong(AddressError::Scheme)),
        };
        let (rest, behind) = match rest.split_once('#') {
            None => (rest, behind),
            Some((rest, ip)) if behind == Behind::One => {
                let ip = ip.parse().map_err(|_not_an_address| wrong(AddressError::Extra))?;
                (rest, Behind::Pinned(ip))
            }
            Some(_) => return Err(wrong(AddressError::Extra)),
        };
        if rest.contains(['?', '@', ' ']) {
            return Err(wrong(AddressError::Extra));
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = split_port(authority).ok_or_else(|| wrong(AddressError::Port))?;
        if host.is_empty() {
            return Err(wrong(AddressError::Host));
        }
        match behind {
            Behind::Addresses if host.parse::<IpAddr>().is_ok() => return Err(wrong(AddressError::Literal)),
            Behind::Services if !is_service(host) => return Err(wrong(AddressError::Service)),
            Behind::Services if port.is_some() => return Err(wrong(AddressError::ServicePort)),
            _ => {}
        }
        let base = path.trim_end_matches('/');
        let base = if base.is_empty() { String::new() } else { format!("/{base}") };
        let port = port.unwrap_or_else(|| default_port(tls));
        Ok(Self { tls, behind, host: host.to_ascii_lowercase(), port, base })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.behind {
            Behind::One | Behind::Pinned(_) => "",
            Behind::Addresses => "dns+",
            Behind::Services => "srv+",
        })?;
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.base)?;
        match self.behind {
            Behind::Pinned(ip) => write!(f, "#{ip}"),
            _ => Ok(()),
        }
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

/// Host and port; `None` if the port is invalid.
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

/// `_service._proto.name` (RFC 2782).
fn is_service(name: &str) -> bool {
    let mut labels = name.splitn(3, '.');
    let mut labelled = || labels.next().is_some_and(|label| label.len() > 1 && label.starts_with('_'));
    labelled() && labelled() && labels.next().is_some_and(|name| !name.is_empty())
}

fn nonzero(port: &str) -> Option<u16> {
    port.parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
            ("http://a#b", AddressError::Extra("http://a#b".into())),
            ("dns+http://a#192.0.2.1", AddressError::Extra("dns+http://a#192.0.2.1".into())),
            ("dns+a:80", AddressError::Scheme("dns+a:80".into())),
            ("dns+http://192.0.2.1", AddressError::Literal("dns+http://192.0.2.1".into())),
            ("dns+http://[::1]:80", AddressError::Literal("dns+http://[::1]:80".into())),
            ("srv+http://a.example", AddressError::Service("srv+http://a.example".into())),
            ("srv+http://_http._tcp", AddressError::Service("srv+http://_http._tcp".into())),
            ("srv+http://_http._tcp.", AddressError::Service("srv+http://_http._tcp.".into())),
            ("srv+http://_._tcp.a", AddressError::Service("srv+http://_._tcp.a".into())),
            ("srv+http://_http._tcp.a:80", AddressError::ServicePort("srv+http://_http._tcp.a:80".into())),
        ] {
            assert_eq!(text.parse::<Address>().unwrap_err(), error);
        }
    }

    fn parsed(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_says_whether_one_or_many_are_behind_it() {
        assert_eq!(parsed("http://a:81").discover(), None);
        assert_eq!(parsed("http://a:81#192.0.2.1").discover(), None);
        let addresses = Discover::Addresses { host: "a.example".to_owned(), port: 443 };
        assert_eq!(parsed("dns+https://A.example/live").discover(), Some(addresses));
        let services = Discover::Services { name: "_http._tcp.a.example".to_owned() };
        assert_eq!(parsed("srv+http://_http._TCP.a.example/live").discover(), Some(services));
    }

    #[test]
    fn a_member_keeps_scheme_and_base_and_has_the_name_port_and_place_that_were_found() {
        let member = |host: &str, address: &str| Member {
            priority: 0,
            address: address.parse().unwrap(),
            host: host.to_owned(),
            weight: 1,
        };
        for (many, found, expected) in [
            (
                "dns+https://a.test:8443/b",
                member("a.test", "192.0.2.1:8443"),
                "https://a.test:8443/b#192.0.2.1",
            ),
            ("dns+http://a.test", member("a.test", "[2001:db8::1]:80"), "http://a.test#2001:db8::1"),
            (
                "srv+https://_x._tcp.a.test/b",
                member("n1.a.test", "192.0.2.1:444"),
                "https://n1.a.test:444/b#192.0.2.1",
            ),
        ] {
            let address = parsed(many).member(&found);
            assert_eq!(address.to_string(), expected);
            assert_eq!((address.pin(), address.port()), (Some(found.address.ip()), found.address.port()));
            assert_eq!((address.host(), address.discover()), (&*found.host, None));
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_can_be_read_again(
            scheme in "(dns\\+|srv\\+)?https?://",
            host in "(_[a-z]{1,3}\\._tcp\\.)?[a-z]{1,8}(\\.[a-z]{2,8}){0,2}|\\[::[0-9]\\]|[0-9]\\.[0-9]\\.[0-9]\\.[0-9]",
            rest in "(:[0-9]{1,5})?(/[a-z]{0,5}){0,3}(#[0-9:.]{1,9})?",
        ) {
            let text = format!("{scheme}{host}{rest}");
            if let Ok(address) = text.parse::<Address>() {
                prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address), "{}", text);
            }
        }

        #[test]
        fn nothing_that_is_written_brings_the_parser_down(text in "(dns\\+|srv\\+)?(https?://)?\\PC{0,20}") {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
            }
        }
    }
}
