//! What the links of a playlist get, so that the next requests of its viewer have the token as well.

use std::sync::Arc;

use tidegate_hls::Addition;

use crate::site::config::token::Carrier;
use crate::site::gate::{Carried, Gate};

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
    pub(super) fn of(gate: &Gate, carried: &Carried<'_>) -> Option<Arc<Self>> {
        let (place, token) = carried.token.as_ref()?;
        match place {
            Carrier::Path => Some(Arc::new(Self::Path(format!("/~{token}")))),
            Carrier::Query => Some(Arc::new(Self::Parameter(format!("{}={token}", gate.parameter())))),
            Carrier::Cookie => None,
        }
    }
}
