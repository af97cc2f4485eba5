//! What a version of a playlist means beside the versions before it.

/// What a version means beside those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There was none before.
    First,
    /// It has more than any before.
    Forward,
    /// It has what is known already.
    Unchanged,
    /// It has less than what is known, and is of the same incarnation: its source lags behind.
    Backward {
        /// By so many complete segments; 0 if only parts, or the end of the list, are missing.
        by: u64,
    },
    /// The stream has begun anew under its old name. What is cached of it is another stream's.
    Restarted(Restart),
    /// The stream begins anew, and its list is too short for a player to start with: what is known stands for
    /// the time being.
    Restarting,
    /// It is the last one.
    Ended,
}

/// How a new incarnation was told from the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Restart {
    /// A segment number that is known has another URI now (section 6.2.1 forbids that within one stream).
    ChangedUri,
    /// A segment number that is known has another initialisation section now.
    ChangedMap,
    /// The numbers have begun anew.
    SequenceReset,
    /// The source has lagged behind for so long that waiting for it costs more than going back.
    Lagged,
}

impl Step {
    /// Does the version take the place of the one that is known?
    pub const fn replaces_latest(self) -> bool {
        match self {
            Self::First | Self::Forward | Self::Restarted(_) | Self::Ended => true,
            Self::Unchanged | Self::Backward { .. } | Self::Restarting => false,
        }
    }

    /// The word for it in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Forward => "forward",
            Self::Unchanged => "unchanged",
            Self::Backward { .. } => "backward",
            Self::Restarted(_) => "restarted",
            Self::Restarting => "restarting",
            Self::Ended => "ended",
        }
    }
}

impl Restart {
    /// The word for it in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChangedUri => "changed-uri",
            Self::ChangedMap => "changed-map",
            Self::SequenceReset => "sequence-reset",
            Self::Lagged => "lagged",
        }
    }
}
