//! What to purge, as operators write it in JSON: `{"files": ["https://live.example/1.ts"], "soft": true}`.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_cache::{Key, PurgeMode};
use tidegate_hls::{Directives, QueryRules, Resource};

use super::Purge;
use super::scope::{Rule, Scope, resource};
use crate::observe::metrics::PurgeKind;
use crate::request::target::host_name;
use crate::site::{Site, Sites};

/// An order to purge. It names exactly one kind: `files`, `prefixes`, `hosts`, `tags` or `everything`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Order {
    /// Resources, with all their variants and slices: `https://live.example/1.ts?x=1`, or a path with
    /// `site`.
    #[serde(skip_serializing_if = "Names::is_empty")]
    pub files: Names,
    /// Everything whose path begins so: `https://live.example/live/ch1/`, or a path with `site`.
    #[serde(skip_serializing_if = "Names::is_empty")]
    pub prefixes: Names,
    /// Everything of the sites of these hosts.
    #[serde(skip_serializing_if = "Names::is_empty")]
    pub hosts: Names,
    /// Everything with one of these tags.
    #[serde(skip_serializing_if = "Names::is_empty")]
    pub tags: Names,
    /// Everything.
    #[serde(skip_serializing_if = "is_false")]
    pub everything: bool,
    /// The name of the one site that is concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The objects expire: each is revalidated at its next use, and still serves if no upstream is available.
    #[serde(skip_serializing_if = "is_false")]
    pub soft: bool,
}

/// One name, or a list of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OneOrMore", into = "Vec<String>")]
pub struct Names(pub Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl From<OneOrMore> for Names {
    fn from(names: OneOrMore) -> Self {
        Self(match names {
            OneOrMore::One(name) => vec![name],
            OneOrMore::More(names) => names,
        })
    }
}

impl From<Names> for Vec<String> {
    fn from(Names(names): Names) -> Self {
        names
    }
}

impl Names {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Why an order cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[error("{field}: {message}")]
pub struct Invalid {
    /// The field with the fault; empty if the text is no order at all.
    pub field: &'static str,
    /// The fault.
    pub message: String,
}

impl Invalid {
    fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self { field, message: message.into() }
    }
}

/// The most names in one order: each is compared with each object.
const NAMES_MAX: usize = 1000;
/// The longest tag, in bytes.
const TAG_MAX: usize = 1024;

impl Order {
    /// Reads an order in JSON.
    ///
    /// # Errors
    /// The text is no JSON, or has other fields.
    pub fn parse(json: &[u8]) -> Result<Self, Invalid> {
        serde_json::from_slice(json).map_err(|error| Invalid::new("", error.to_string()))
    }

    /// Finds out what the order means for these sites.
    ///
    /// # Errors
    /// The first field with a fault.
    pub fn resolve(&self, sites: &Sites) -> Result<Purge, Invalid> {
        let kind = self.kind()?;
        let site = self.site(sites)?;
        let scope = match kind {
            PurgeKind::File => resources(&self.files.0, sites, site)?,
            PurgeKind::Prefix => prefixes(&self.prefixes.0, sites, site)?,
            PurgeKind::Host => hosts(&self.hosts.0, sites)?,
            PurgeKind::Tag => Scope { sites: names(site), rule: tags(&self.tags.0)? },
            PurgeKind::Everything => Scope { sites: names(site), rule: Rule::All },
        };
        let mode = if self.soft { PurgeMode::Expire } else { PurgeMode::Remove };
        Ok(Purge { kind, mode, scope: Arc::new(scope) })
    }

    fn kind(&self) -> Result<PurgeKind, Invalid> {
        let lists = [
            (PurgeKind::File, &self.files.0),
            (PurgeKind::Prefix, &self.prefixes.0),
            (PurgeKind::Host, &self.hosts.0),
            (PurgeKind::Tag, &self.tags.0),
        ];
        let mut set: Vec<PurgeKind> =
            lists.iter().filter(|(_, names)| !names.is_empty()).map(|(kind, _)| *kind).collect();
        set.extend(self.everything.then_some(PurgeKind::Everything));
        if let Some((kind, _)) = lists.iter().find(|(_, names)| names.len() > NAMES_MAX) {
            return Err(Invalid::new(kind.as_str(), format!("at most {NAMES_MAX} names")));
        }
        match *set {
            [kind] => Ok(kind),
            [] => Err(Invalid::new("", "nothing to purge: set files, prefixes, hosts, tags, or everything")),
            [_, second, ..] => Err(Invalid::new(
                second.as_str(),
                "set only one of files, prefixes, hosts, tags, and everything",
            )),
        }
    }

    fn site<'a>(&self, sites: &'a Sites) -> Result<Option<&'a Arc<Site>>, Invalid> {
        let Some(name) = &self.site else { return Ok(None) };
        if !self.hosts.is_empty() {
            return Err(Invalid::new("site", "a host has its sites: leave it out"));
        }
        let found = sites.all().iter().find(|site| site.name == *name);
        found.map(Some).ok_or_else(|| Invalid::new("site", format!("there is no site {name:?}")))
    }
}

fn names(site: Option<&Arc<Site>>) -> Option<HashSet<String>> {
    site.map(|site| HashSet::from([site.name.clone()]))
}

/// A URL, or a path at a site.
struct Target<'a> {
    host: &'a str,
    path_and_query: &'a str,
}

impl<'a> Target<'a> {
    fn parse(field: &'static str, text: &'a str, has_site: bool) -> Result<Self, Invalid> {
        let invalid = |message: &str| Invalid::new(field, format!("{text:?}: {message}"));
        if text.starts_with('/') {
            let host = if has_site { Ok("localhost") } else { Err(invalid("a path needs a site")) };
            return host.map(|host| Self { host, path_and_query: text });
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| invalid("write https://host/path"))?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(invalid("write https://host/path"));
        }
        let (host, path_and_query) =
            rest.find(['/', '?']).and_then(|end| rest.split_at_checked(end)).unwrap_or((rest, "/"));
        if host.is_empty() || !path_and_query.starts_with('/') {
            return Err(invalid("write https://host/path"));
        }
        Ok(Self { host, path_and_query })
    }

    fn resource(&self, field: &'static str, rules: &QueryRules) -> Result<Resource, Invalid> {
        // A fragment is not sent to servers.
        let target = self.path_and_query.split('#').next().unwrap_or_default();
        Resource::parse(self.host, target, rules)
            .map_err(|error| Invalid::new(field, format!("{:?}: {error}", self.path_and_query)))
    }
}

fn unknown_host(field: &'static str, host: &str) -> Invalid {
    Invalid::new(field, format!("no site has the host {host:?}"))
}

fn resources(urls: &[String], sites: &Sites, site: Option<&Arc<Site>>) -> Result<Scope, Invalid> {
    let mut resources = HashSet::new();
    for url in urls {
        let target = Target::parse("files", url, site.is_some())?;
        let plain = target.resource("files", &QueryRules::default())?;
        let found = site.or_else(|| sites.find(&host_name(target.host), &plain.path_and_query()));
        let found = found.ok_or_else(|| unknown_host("files", target.host))?;
        // The versions of a playlist are one object, or one for each directive.
        let own = target.resource("files", &found.query)?;
        for version in [own.with_directives(Directives::default()), own] {
            resources.insert(resource(&Key::new(&found.name, &version.path_and_query())).into_owned());
        }
    }
    Ok(Scope { sites: None, rule: Rule::Resources(resources) })
}

/// All sites of the host are concerned: each has only the paths that are its own.
fn prefixes(urls: &[String], sites: &Sites, site: Option<&Arc<Site>>) -> Result<Scope, Invalid> {
    let (mut concerned, mut prefixes) = (HashSet::new(), Vec::new());
    let mut only_host = None;
    for url in urls {
        let target = Target::parse("prefixes", url, site.is_some())?;
        if target.path_and_query.contains('?') {
            return Err(Invalid::new("prefixes", format!("{url:?}: a prefix has no query")));
        }
        if let Some(site) = site {
            concerned.insert(site.name.clone());
        } else {
            let host = host_name(target.host).into_owned();
            if only_host.get_or_insert_with(|| host.clone()) != &host {
                return Err(Invalid::new("prefixes", "all prefixes of an order have the same host"));
            }
            concerned.extend(of_host("prefixes", &host, sites)?);
        }
        prefixes.push(target.resource("prefixes", &QueryRules::default())?.path);
    }
    Ok(Scope { sites: Some(concerned), rule: Rule::Prefixes(prefixes) })
}

fn hosts(hosts: &[String], sites: &Sites) -> Result<Scope, Invalid> {
    let mut concerned = HashSet::new();
    for host in hosts {
        concerned.extend(of_host("hosts", &host_name(host), sites)?);
    }
    Ok(Scope { sites: Some(concerned), rule: Rule::All })
}

/// The names of the sites of a host.
fn of_host(field: &'static str, host: &str, sites: &Sites) -> Result<Vec<String>, Invalid> {
    let names: Vec<String> = sites.of_host(host).map(|site| site.name.clone()).collect();
    if names.is_empty() { Err(unknown_host(field, host)) } else { Ok(names) }
}

fn tags(tags: &[String]) -> Result<Rule, Invalid> {
    match tags.iter().find(|tag| tag.trim_ascii().is_empty() || tag.len() > TAG_MAX) {
        Some(_) => Err(Invalid::new("tags", format!("a tag has 1 to {TAG_MAX} characters"))),
        None => Ok(Rule::Tags(tags.iter().map(|tag| tag.trim_ascii().to_owned()).collect())),
    }
}

#[cfg(test)]
mod tests;
