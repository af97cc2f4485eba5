//! `[site.request_headers]`: the header fields of viewers that shared requests carry.

use http::HeaderName;
use serde::{Deserialize, Serialize};
use tidegate_headers::forwarding::Forwarding;

/// Which header fields of viewers are sent with requests whose response many viewers share. Cookies,
/// credentials, addresses and the like never are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestHeaders {
    /// The rule for a field that neither list names.
    pub default: Unlisted,
    /// Fields that are sent.
    pub keep: Vec<String>,
    /// Fields that are dropped.
    pub drop: Vec<String>,
}

/// The rule for a parameter or header field that no list names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unlisted {
    /// It is kept: a parameter is part of the key, a header field is sent.
    Keep,
    /// It is dropped.
    Drop,
}

impl Default for RequestHeaders {
    fn default() -> Self {
        let keep = ["accept", "accept-language", "user-agent"].map(str::to_owned);
        Self { default: Unlisted::Keep, keep: keep.to_vec(), drop: Vec::new() }
    }
}

impl RequestHeaders {
    /// The first entry that is no name of a header field.
    pub(super) fn wrong_name(&self) -> Option<&str> {
        let names = self.keep.iter().chain(&self.drop).map(String::as_str);
        names.into_iter().find(|name| name.parse::<HeaderName>().is_err())
    }

    pub(crate) fn rules(&self) -> Forwarding {
        let lower = |names: &[String]| names.iter().map(|name| name.to_ascii_lowercase()).collect();
        Forwarding {
            drops_unlisted: self.default == Unlisted::Drop,
            keep: lower(&self.keep),
            drop: lower(&self.drop),
        }
    }
}
