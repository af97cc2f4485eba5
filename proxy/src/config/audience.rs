//! `[audience]`: how viewers are counted.

use http::{HeaderValue, Uri};
use serde::{Deserialize, Serialize};
use tidegate_hls::{QueryRules, Resource};
use tidegate_upstream::pem;

use super::check::Breach;
use super::units::Period;
use crate::observe::operators::SharedSecret;

/// How an edge counts viewers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audience {
    /// Whether viewers are counted at all.
    pub enabled: bool,
    /// How long a viewer counts after a request. More than zero.
    pub window: Period,
    /// Streams, those with the most viewers, that have metrics.
    pub streams_max: usize,
    /// The path of all sites to which players post reports (CMCD events); in normal form, without a query.
    pub reports_path: Option<String>,
    /// Whether responses tell players what is estimated of their connections (CMSD).
    pub cmsd: bool,
    /// Where notices of streams are sent.
    pub webhook: Option<Webhook>,
}

/// A server that receives a notice when a stream gets its first viewer, loses its last, or passes a
/// threshold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Its URL, with `https://` or `http://`.
    pub url: String,
    /// A PEM file with the authorities that its certificate must be by, in place of the system's.
    pub ca: Option<String>,
    /// A file with a token that requests carry as `Authorization: Bearer`.
    pub token: Option<String>,
    /// Numbers of viewers of one stream at this node.
    #[serde(default)]
    pub thresholds: Vec<u64>,
}

impl Default for Audience {
    fn default() -> Self {
        Self {
            enabled: true,
            window: Period::secs(30),
            streams_max: 20,
            reports_path: None,
            cmsd: false,
            webhook: None,
        }
    }
}

impl Audience {
    /// Checks the window, the path and the webhook.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), Breach> {
        if self.window.get().is_zero() {
            return Err(Breach::new(&["audience", "window"], "must be more than 0s"));
        }
        let is_normal = |path: &String| {
            Resource::parse("host", path, &QueryRules::default())
                .is_ok_and(|resource| resource.target() == *path)
                && !path.contains('?')
        };
        if !self.reports_path.iter().all(is_normal) {
            let message = "must be a path in its normal form, without a query, such as \"/cmcd\"";
            return Err(Breach::new(&["audience", "reports_path"], message));
        }
        self.webhook.iter().try_for_each(Webhook::check)
    }
}

impl Webhook {
    fn check(&self) -> Result<(), Breach> {
        let breach = |field, message: String| Err(Breach::new(&["audience", "webhook", field], message));
        let is_absolute =
            |url: &Uri| matches!(url.scheme_str(), Some("https" | "http")) && url.host().is_some();
        if !self.url.parse().is_ok_and(|url| is_absolute(&url)) {
            return breach("url", format!("{:?} must begin with https:// or http:// and a host", self.url));
        }
        if let Some(Err(error)) = self.ca.as_ref().map(|file| pem::authorities("ca", file)) {
            return breach("ca", error.to_string());
        }
        if self.thresholds.contains(&0) {
            return breach("thresholds", "must be more than 0".to_owned());
        }
        self.authorization().map(drop).or_else(|error| breach("token", error))
    }

    /// The value of `Authorization`, if there is a token. It reads the file.
    ///
    /// # Errors
    /// When the token cannot be used.
    pub(crate) fn authorization(&self) -> Result<Option<HeaderValue>, String> {
        let Some(file) = &self.token else { return Ok(None) };
        let secret = SharedSecret::read(file).map_err(|error| error.to_string())?;
        Ok(secret.bearer())
    }
}
