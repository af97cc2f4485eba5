//! The nodes of a fleet, for commands that concern all of them.

use serde::{Deserialize, Serialize};
use tidegate_upstream::Address;

use super::check::Breach;
use super::units::Period;

/// The nodes that `tidegate purge` sends a purge to, by their operators' listeners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Control {
    /// The shields, `http://host:port`. They are purged first.
    pub shields: Vec<Address>,
    /// The edges.
    pub edges: Vec<Address>,
    /// A file with the token of the operators' listeners; without it, that of `listen.operators_token`.
    pub token: Option<String>,
    /// Time for the response of one node. More than zero.
    pub timeout: Period,
}

impl Default for Control {
    fn default() -> Self {
        Self { shields: Vec::new(), edges: Vec::new(), token: None, timeout: Period::secs(10) }
    }
}

impl Control {
    /// Checks the addresses and the timeout.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), Breach> {
        for (field, nodes) in [("shields", &self.shields), ("edges", &self.edges)] {
            if let Some(node) = nodes.iter().find(|node| node.is_tls() || node.discover().is_some()) {
                let message = format!("{node} must name one operators' listener: write http://host:port");
                return Err(Breach::new(&["control", field], message));
            }
        }
        if self.timeout.get().is_zero() {
            return Err(Breach::new(&["control", "timeout"], "must be more than 0s"));
        }
        Ok(())
    }
}
