//! `[listen.tls.acme]`: certificates that the node orders itself (RFC 8555).

use std::net::IpAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tidegate_upstream::pem;

use super::check::Breach;

/// An ACME authority, and the hosts for which it issues certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acme {
    /// The URL of the authority's directory. By default that of Let's Encrypt.
    #[serde(default = "lets_encrypt")]
    pub directory: String,
    /// A PEM file with the authorities that the directory's certificate must be by, in place of the system's.
    pub ca: Option<String>,
    /// The e-mail address of the account.
    pub email: Option<String>,
    /// The host names, at least one. Each gets a certificate of its own.
    pub hosts: Vec<String>,
    /// The folder for account, certificates and challenges. Several nodes may share it.
    pub storage: String,
    /// How the authority validates a host.
    #[serde(default)]
    pub challenge: Challenge,
}

/// A way to prove the control of a host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Challenge {
    /// A request to port 80, which must reach `listen.viewers` (RFC 8555 section 8.3).
    #[default]
    #[serde(rename = "http-01")]
    Http01,
    /// A handshake on port 443, which must reach `listen.tls.address` (RFC 8737).
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

impl Acme {
    /// Certificates for these hosts by Let's Encrypt, kept in a folder.
    pub fn new(hosts: Vec<String>, storage: String) -> Self {
        let challenge = Challenge::default();
        Self { directory: lets_encrypt(), ca: None, email: None, hosts, storage, challenge }
    }

    /// The hosts in lower case, each of them once.
    pub(crate) fn hosts(&self) -> Vec<String> {
        let mut hosts: Vec<String> = Vec::new();
        for host in self.hosts.iter().map(|host| host.to_ascii_lowercase()) {
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        hosts
    }

    /// The rules between the fields. `has_client_ca` says whether the listener requires client certificates.
    pub(crate) fn check(&self, has_client_ca: bool) -> Result<(), Breach> {
        let breach = |field, message: String| Err(Breach::new(&["listen", "tls", "acme", field], message));
        if !self.directory.starts_with("https://") {
            return breach("directory", format!("{:?} must begin with https://", self.directory));
        }
        if let Some(Err(error)) = self.ca.as_ref().map(|file| pem::authorities("ca", file)) {
            return breach("ca", error.to_string());
        }
        if let Some(email) = self.email.as_ref().filter(|email| !is_address(email)) {
            return breach("email", format!("{email:?} is not an e-mail address"));
        }
        if self.hosts.is_empty() {
            return breach("hosts", "there is no host".to_owned());
        }
        if let Some((host, reason)) = self.hosts.iter().find_map(|host| Some((host, unfit(host)?))) {
            return breach("hosts", format!("{host:?} {reason}"));
        }
        if self.storage.is_empty() {
            return breach("storage", "it must name a folder".to_owned());
        }
        let folder = Path::new(&self.storage);
        if folder.exists() && !folder.is_dir() {
            return breach("storage", format!("{} is not a folder", self.storage));
        }
        if self.challenge == Challenge::TlsAlpn01 && has_client_ca {
            let message = "tls-alpn-01 cannot be used with client_ca: the authority has no client certificate; \
                           use http-01";
            return breach("challenge", message.to_owned());
        }
        Ok(())
    }
}

/// Why a host can have no certificate by HTTP-01 or TLS-ALPN-01; `None` if it can.
fn unfit(host: &str) -> Option<&'static str> {
    if host.contains('*') {
        return Some("is a wildcard, which needs DNS-01: list each host, or use a certificate in files");
    }
    if host.parse::<IpAddr>().is_ok() {
        return Some("is an address; write a host name");
    }
    (!is_name(host)).then_some("is not a host name")
}

/// Whether a text is a host name (RFC 1123 section 2.1). Its characters are also safe in the name of a file.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let is_bounded = (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-');
        is_bounded && label.bytes().all(is_allowed)
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_address(text: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && !part.contains([' ', ',', ':', '?', '@']);
    text.split_once('@').is_some_and(|(user, host)| is_part(user) && is_part(host))
}

fn lets_encrypt() -> String {
    "https://acme-v02.api.letsencrypt.org/directory".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(change: impl FnOnce(&mut Acme)) -> Result<(), String> {
        let mut acme = Acme::new(vec!["live.example".to_owned()], "/var/lib/tidegate/acme".to_owned());
        change(&mut acme);
        acme.check(true).map_err(|breach| format!("{}: {}", breach.field.join("."), breach.message))
    }

    #[test]
    fn two_fields_are_enough() {
        let text = "hosts = [\"Live.example\", \"live.example\", \"tv\"]\nstorage = \"acme\"";
        let acme: Acme = toml::from_str(text).unwrap();
        assert_eq!(acme.directory, "https://acme-v02.api.letsencrypt.org/directory");
        assert_eq!((acme.challenge, acme.check(true)), (Challenge::Http01, Ok(())));
        assert_eq!(acme.hosts(), ["live.example", "tv"]);
        let missing = |text| toml::from_str::<Acme>(text).unwrap_err().to_string();
        assert!(missing("hosts = []").contains("missing field `storage`"));
        assert!(missing("storage = \"acme\"").contains("missing field `hosts`"));
    }

    #[test]
    fn a_host_must_be_one_that_the_challenges_can_validate() {
        for (host, reason) in [
            ("*.live.example", "DNS-01"),
            ("192.0.2.1", "an address"),
            ("2001:db8::1", "an address"),
            ("", "not a host name"),
            ("live..example", "not a host name"),
            ("live.example.", "not a host name"),
            ("../live", "not a host name"),
            ("live_1.example", "not a host name"),
            ("-live.example", "not a host name"),
            ("live.example:443", "not a host name"),
        ] {
            let refused = checked(|acme| acme.hosts.push(host.to_owned())).unwrap_err();
            assert!(refused.starts_with("listen.tls.acme.hosts: "), "{refused}");
            assert!(refused.contains(reason), "{host:?}: {refused}");
        }
        assert_eq!(checked(|acme| acme.hosts.push("xn--bcher-kva.example".to_owned())), Ok(()));
    }

    #[test]
    fn each_field_is_checked() {
        let refused = |change: fn(&mut Acme)| checked(change).unwrap_err();
        assert!(refused(|acme| acme.hosts.clear()).contains("acme.hosts: there is no host"));
        assert!(refused(|acme| acme.directory = "http://a/dir".to_owned()).contains("acme.directory: "));
        assert!(
            refused(|acme| acme.ca = Some("/no/such/file".to_owned())).contains("acme.ca: /no/such/file")
        );
        assert!(refused(|acme| acme.storage.clear()).contains("acme.storage: "));
        assert!(refused(|acme| acme.storage = "/dev/null".to_owned()).contains("/dev/null is not a folder"));
        assert!(refused(|acme| acme.challenge = Challenge::TlsAlpn01).contains("acme.challenge: "));
        for email in ["ops", "mailto:ops@live.example", "a@b, c@d", "@live.example"] {
            let refused = checked(|acme| acme.email = Some(email.to_owned())).unwrap_err();
            assert!(refused.contains("acme.email: "), "{refused}");
        }
        assert_eq!(checked(|acme| acme.email = Some("ops@live.example".to_owned())), Ok(()));
    }
}
