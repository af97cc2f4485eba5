//! One upstream in a configuration: an address, or a table with more.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tidegate_upstream::address::AddressError;
use tidegate_upstream::{Address, Options, Spec};

use super::check::Breach;
use super::name::NodeName;
use super::upstream::SecretField;

/// A shield or an origin: `"http://10.0.0.1:8081"`, or `{ url = "http://10.0.0.1:8081", weight = 2 }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server(Table);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// The address.
    url: Address,
    /// Its share of the load beside the others: 1 to 1000, by default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    weight: u32,
    /// It is used when no upstream of a lower group is available. By default 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    group: u32,
    /// Its region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    region: Option<NodeName>,
    /// The Host header field for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    /// Header fields to add.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_one(weight: &u32) -> bool {
    *weight == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(group: &u32) -> bool {
    *group == 0
}

/// A larger weight is a mistake. The limit also keeps sums of weights exact.
const WEIGHT_MAX: u32 = 1000;

impl Server {
    /// An upstream at this address, with defaults for all other fields.
    pub fn at(url: Address) -> Self {
        Self(Table { url, weight: 1, group: 0, region: None, host: None, headers: BTreeMap::new() })
    }

    /// In this group.
    #[must_use]
    pub fn in_group(self, group: u32) -> Self {
        Self(Table { group, ..self.0 })
    }

    /// In this region.
    #[must_use]
    pub fn in_region(self, region: NodeName) -> Self {
        Self(Table { region: Some(region), ..self.0 })
    }

    /// With this weight.
    #[must_use]
    pub fn weighing(self, weight: u32) -> Self {
        Self(Table { weight, ..self.0 })
    }

    /// Its address.
    pub fn url(&self) -> &Address {
        &self.0.url
    }

    /// Its region.
    pub fn region(&self) -> Option<&str> {
        self.0.region.as_ref().map(NodeName::as_str)
    }

    /// Its group; 0 if none is configured.
    pub fn group(&self) -> u32 {
        self.0.group
    }

    /// The Host header field that is configured for it.
    pub fn host(&self) -> Option<&str> {
        self.0.host.as_deref()
    }

    /// The specification of the upstream. `options` are those of the section, `host` is the Host header field
    /// if the server has none, and `headers` are added for every server.
    pub(crate) fn spec(
        &self,
        options: Options,
        host: Option<String>,
        headers: &BTreeMap<String, String>,
    ) -> Spec {
        let table = &self.0;
        Spec {
            address: table.url.clone(),
            host: table.host.clone().or(host),
            headers: fields(headers.iter().chain(&table.headers)),
            weight: table.weight,
            group: table.group,
            region: table.region.as_ref().map(|region| region.as_str().into()),
            is_tier: false,
            options,
        }
    }

    /// The specification of an upstream that is a shield, which finds the site by the viewer's Host. Requests
    /// carry the secret.
    pub fn tier(&self, options: Options, secret: Option<&SecretField>) -> Spec {
        let mut spec = Spec { is_tier: true, ..self.spec(options, None, &BTreeMap::new()) };
        spec.headers.extend(secret.map(SecretField::field));
        spec
    }

    /// Checks the fields of the server. `field` is its path in the configuration.
    ///
    /// # Errors
    /// The first invalid field.
    pub fn check(&self, field: &[&'static str]) -> Result<(), Breach> {
        if !(1..=WEIGHT_MAX).contains(&self.0.weight) {
            let message = format!("{}: weight must be from 1 to {WEIGHT_MAX}", self.0.url);
            return Err(Breach::new(field, message));
        }
        check_fields(&self.0.headers).map_err(|message| Breach::new(field, message))
    }
}

/// Checks that each of `headers` is a header field that can be added.
pub(crate) fn check_fields(headers: &BTreeMap<String, String>) -> Result<(), String> {
    let is_reserved = |name: &HeaderName| {
        [
            http::header::HOST,
            http::header::CONTENT_LENGTH,
            http::header::TRANSFER_ENCODING,
            http::header::CONNECTION,
        ]
        .contains(name)
    };
    match headers
        .iter()
        .find(|(name, value)| read_field(name, value).is_none_or(|(name, _)| is_reserved(&name)))
    {
        Some((name, _)) => Err(format!("{name:?} is not a header field that can be added")),
        None => Ok(()),
    }
}

fn fields<'a>(headers: impl Iterator<Item = (&'a String, &'a String)>) -> HeaderMap {
    headers.filter_map(|(name, value)| read_field(name, value)).collect()
}

fn read_field(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((name.parse().ok()?, value.parse().ok()?))
}

impl FromStr for Server {
    type Err = AddressError;

    fn from_str(url: &str) -> Result<Self, AddressError> {
        url.parse().map(Self::at)
    }
}

impl Serialize for Server {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if *self == Self::at(self.0.url.clone()) {
            self.0.url.serialize(serializer)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Server {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ServerVisitor)
    }
}

struct ServerVisitor;

impl<'de> Visitor<'de> for ServerVisitor {
    type Value = Server;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a server; write \"http://host:port\" or { url = \"http://host:port\", ... }")
    }

    fn visit_str<E: Error>(self, url: &str) -> Result<Server, E> {
        url.parse().map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Server, A::Error> {
        Table::deserialize(MapAccessDeserializer::new(map)).map(Server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Origins {
        origins: Vec<Server>,
    }

    #[test]
    fn a_server_is_an_address_or_a_table_and_is_written_back_as_the_shorter() {
        let text = "origins = [\"http://a:80/x\", { url = \"http://b:81\", weight = 3, group = 1 }]\n";
        let read: Origins = toml::from_str(text).unwrap();
        assert_eq!(read.origins[0], Server::at("http://a/x".parse().unwrap()));
        assert_eq!(read.origins[1], Server::at("http://b:81".parse().unwrap()).weighing(3).in_group(1));
        assert_eq!(toml::from_str::<Origins>(&toml::to_string(&read).unwrap()).unwrap(), read);
    }

    #[test]
    fn an_invalid_server_is_named_in_the_error() {
        for (origin, message) in [
            ("5", "a server; write"),
            ("\"origin:80\"", "must begin with http://"),
            ("{ weight = 1 }", "missing field `url`"),
            ("{ url = \"http://a\", wieght = 1 }", "unknown field `wieght`"),
        ] {
            let error = toml::from_str::<Origins>(&format!("origins = [{origin}]")).unwrap_err().to_string();
            assert!(error.contains(message), "{origin}: {error}");
        }
    }

    #[test]
    fn weights_and_fields_are_checked() {
        let check = |text: &str| {
            let read: Origins = toml::from_str(&format!("origins = [{text}]")).unwrap();
            read.origins[0].check(&["site", "origins"]).map_err(|breach| breach.message)
        };
        assert_eq!(check("{ url = \"http://a\", headers = { X-Key = \"1\" } }"), Ok(()));
        assert!(check("{ url = \"http://a\", weight = 0 }").unwrap_err().contains("weight"));
        assert!(check("{ url = \"http://a\", headers = { \"a b\" = \"1\" } }").unwrap_err().contains("a b"));
        assert!(check("{ url = \"http://a\", headers = { Host = \"b\" } }").unwrap_err().contains("Host"));
    }
}
