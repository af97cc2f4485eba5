//! What the links of a playlist get, so that the next requests of its viewer have the token as well.

use tidegate_access::token::Carrier;
use tidegate_hls::Addition;

use crate::site::Gate;

/// The addition to the links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    /// A query parameter.
    Parameter(String),
    /// The first component of the path. Relative links have it already.
    Path(String),
}

impl Link {
    pub(crate) fn addition(&self) -> Addition<'_> {
        match self {
            Self::Parameter(text) => Addition::Parameter(text),
            Self::Path(text) => Addition::Path(text),
        }
    }

    /// A cookie reaches all resources of its site without a change of their links.
    pub(crate) fn of(gate: &Gate, carrier: Carrier, token: &str) -> Option<Self> {
        match carrier {
            Carrier::Path => Some(Self::Path(["/~", token].concat())),
            Carrier::Query => Some(Self::Parameter([gate.parameter(), "=", token].concat())),
            Carrier::Cookie => None,
        }
    }
}
