//! How a version of a playlist compares with the versions before it.

/// How a version compares with those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is the first one.
    First,
    /// It has more than any before.
    Forward,
    /// It has nothing new.
    Unchanged,
    /// It has less than the known version, and is of the same epoch: its upstream lags behind.
    Backward {
        /// By this many complete segments; 0 if only parts, or the end of the list, are missing.
        by: u64,
    },
    /// The stream has restarted under its old name. Its cached objects are those of another stream.
    Restarted(Restart),
    /// The stream has restarted, but its list is too short for a player to start with: the known version
    /// remains for the time being.
    Restarting,
    /// It is the last one.
    Ended,
}

/// How a restart was detected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Restart {
    /// A known segment number has another URI now (section 6.2.1 forbids that within one stream).
    ChangedUri,
    /// A known segment number has another initialisation section now.
    ChangedMap,
    /// The sequence numbers started over.
    SequenceReset,
    /// The upstream has lagged behind for so long that waiting for it costs more than going back.
    Lagged,
}

impl Step {
    /// Whether the version replaces the known one.
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
