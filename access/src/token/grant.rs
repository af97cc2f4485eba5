//! What a verified token grants, whatever its format.

use super::uri::{Component, Pattern};
use super::{Prefix, Refusal, Visit};
use crate::address::ClientAddress;
use crate::cidr::Cidr;

/// What a verified token grants.
#[derive(Debug, Clone, Default)]
pub struct Grant {
    pub(super) id: Option<Box<str>>,
    /// Seconds since 1970. The token is not valid from then on.
    pub(super) expires: u64,
    pub(super) not_before: u64,
    pub(super) scope: Scope,
    /// Networks of which the client must be in one; none of them means any.
    pub(super) networks: Vec<Cidr>,
    /// Countries (ISO 3166) of which the client must be in one; none of them means any.
    pub(super) countries: Vec<Box<str>>,
    /// Methods of which the request must have one; none of them means any.
    pub(super) methods: Vec<Box<str>>,
}

/// The resources that a token grants.
#[derive(Debug, Clone, Default)]
pub(super) enum Scope {
    /// All of the site.
    #[default]
    All,
    /// Those below a path.
    Below(Prefix),
    /// Those whose URI matches.
    Uri(Pattern),
    /// Those of whose URI each of these parts matches.
    Components(Vec<(Component, Pattern)>),
}

impl Grant {
    /// Whether the grant admits a request at `now`, in seconds since 1970.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn admits(&self, visit: &Visit<'_>, now: u64) -> Result<(), Refusal> {
        if now >= self.expires {
            return Err(Refusal::Expired);
        }
        if now < self.not_before {
            return Err(Refusal::NotYetValid);
        }
        if !self.scope.has(visit) {
            return Err(Refusal::Path);
        }
        let is_in = |list: &[Box<str>], value: &str| {
            list.is_empty() || list.iter().any(|listed| listed.eq_ignore_ascii_case(value))
        };
        if !is_in(&self.methods, visit.method) {
            return Err(Refusal::Method);
        }
        let address = ClientAddress::from(visit.address);
        if !self.networks.is_empty() && !self.networks.iter().any(|network| network.contains(address)) {
            return Err(Refusal::Address);
        }
        // A country that is not known is in no list.
        if !is_in(&self.countries, visit.country.unwrap_or_default()) {
            return Err(Refusal::Country);
        }
        Ok(())
    }

    /// Whether the country of the client decides.
    pub fn needs_country(&self) -> bool {
        !self.countries.is_empty()
    }

    /// The token's id, by which it can be revoked.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// When the token expires, in seconds since 1970.
    pub fn expires(&self) -> u64 {
        self.expires
    }
}

impl Scope {
    fn has(&self, visit: &Visit<'_>) -> bool {
        match self {
            Self::All => true,
            Self::Below(prefix) => prefix.matches(visit.path),
            Self::Uri(pattern) => pattern.matches_uri(visit),
            Self::Components(rules) => {
                rules.iter().all(|(component, pattern)| pattern.matches_component(*component, visit))
            }
        }
    }
}
