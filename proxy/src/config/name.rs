//! The names of nodes and regions.

use serde::{Deserialize, Serialize};

/// A node's name in Via, Cache-Status and CDN-Loop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(String);

/// Text that is not a name. Names have letters, digits, `-`, `_` and `.`, so that they are tokens in every
/// header field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a name; write 1 to 63 letters, digits, '-', '_' or '.', beginning with a letter")]
pub struct NodeNameError(String);

impl NodeName {
    /// A valid name from the code.
    pub fn literal(name: &'static str) -> Self {
        Self(name.to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for NodeName {
    type Error = NodeNameError;

    fn try_from(name: String) -> Result<Self, NodeNameError> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let begins_well = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
        if begins_well && name.len() <= 63 && name.chars().all(is_allowed) {
            Ok(Self(name))
        } else {
            Err(NodeNameError(name))
        }
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        name.0
    }
}
