//! Where nodes and regions are.

use serde::{Deserialize, Serialize};
use tidegate_upstream::Coordinates;

use super::name::NodeName;

/// Where this node is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Location {
    /// The region in which it is.
    pub region: Option<NodeName>,
    /// Where on the earth, if that is not where its region is.
    pub at: Option<Coordinates>,
}
