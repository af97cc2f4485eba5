//! Where nodes and regions are.

use serde::{Deserialize, Serialize};
use tidegate_upstream::Coordinates;

use super::name::NodeName;

/// Where this node is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Location {
    /// The node's region.
    pub region: Option<NodeName>,
    /// The node's coordinates, if they differ from the region's.
    pub at: Option<Coordinates>,
}
