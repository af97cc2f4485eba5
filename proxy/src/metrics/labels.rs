//! The words that label metrics, beside [`crate::fate::Fate`].

use http::StatusCode;
use tidegate_hls::Kind;
use tidegate_upstream::{Outcome, State, UpstreamError};

use crate::label::{Label, label};

label! {
    /// The first digit of a status.
    StatusClass {
        /// The viewer left before there was an answer.
        None = "none",
        /// 1xx.
        Informational = "1xx",
        /// 2xx.
        Success = "2xx",
        /// 3xx.
        Redirection = "3xx",
        /// 4xx.
        ClientError = "4xx",
        /// 5xx and what is beyond.
        ServerError = "5xx",
    }
}

label! {
    /// How a fill ended.
    FillEnd {
        /// The object is held.
        Stored = "stored",
        /// What is held was found to be current.
        Renewed = "renewed",
        /// The answer cannot be shared.
        Uncacheable = "uncacheable",
        /// No source could answer.
        Failed = "failed",
        /// The body broke, and no source could go on.
        Broken = "broken",
        /// Nobody wanted it any more.
        Abandoned = "abandoned",
    }
}

label! {
    /// How a request to a source ended.
    UpstreamEnd {
        /// 2xx.
        Success = "success",
        /// 304.
        NotModified = "not_modified",
        /// Another 3xx.
        Redirection = "redirection",
        /// 4xx.
        ClientError = "client_error",
        /// 5xx.
        ServerError = "server_error",
        /// No connection.
        Connect = "connect",
        /// Nothing came in time.
        Timeout = "timeout",
        /// The connection broke.
        Broken = "broken",
        /// The answer is not HTTP, or not what was asked for.
        Unusable = "unusable",
        /// Not sent: the source had as many requests as it may have.
        Full = "full",
        /// Given up before its end: nobody wanted the rest any more, or there was no room for it.
        Abandoned = "abandoned",
    }
}

label! {
    /// Why the next candidate is asked.
    Failover {
        /// There is no connection to be had.
        Connect = "connect",
        /// Nothing came in time.
        Timeout = "timeout",
        /// A status that counts as a failure.
        Status = "status",
        /// The connection broke.
        Broken = "broken",
        /// The answer is not HTTP, or not what was asked for.
        Unusable = "unusable",
        /// It had as many requests as it may have.
        Full = "full",
        /// Its live playlist goes back.
        Backward = "backward",
        /// Its live playlist stands still.
        Frozen = "frozen",
    }
}

label! {
    /// Where an upstream stands.
    Standing {
        /// It is asked.
        Up = "up",
        /// It was out and is asked again, little by little.
        Returning = "returning",
        /// It answers badly: asked last.
        Ejected = "ejected",
        /// It cannot be reached: asked last.
        Down = "down",
    }
}

impl StatusClass {
    /// The class of a status.
    pub fn of(status: Option<StatusCode>) -> Self {
        match status.map(|status| status.as_u16() / 100) {
            None => Self::None,
            Some(1) => Self::Informational,
            Some(2) => Self::Success,
            Some(3) => Self::Redirection,
            Some(4) => Self::ClientError,
            Some(_) => Self::ServerError,
        }
    }
}

impl From<State> for Standing {
    fn from(state: State) -> Self {
        match state {
            State::Up => Self::Up,
            State::Returning => Self::Returning,
            State::Ejected => Self::Ejected,
            State::Down => Self::Down,
        }
    }
}

impl From<Outcome> for UpstreamEnd {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Answered(status) => Self::from(status),
            Outcome::Failed(error) => Self::from(error),
            Outcome::Abandoned => Self::Abandoned,
        }
    }
}

impl From<StatusCode> for UpstreamEnd {
    fn from(status: StatusCode) -> Self {
        match status.as_u16() {
            304 => Self::NotModified,
            300..=399 => Self::Redirection,
            400..=499 => Self::ClientError,
            500.. => Self::ServerError,
            _ => Self::Success,
        }
    }
}

impl From<UpstreamError> for UpstreamEnd {
    fn from(error: UpstreamError) -> Self {
        match (error, Failover::from(error)) {
            (UpstreamError::Status(status), _) => Self::from(status),
            (_, Failover::Connect) => Self::Connect,
            (_, Failover::Timeout) => Self::Timeout,
            (_, Failover::Full) => Self::Full,
            (_, Failover::Broken) => Self::Broken,
            (_, Failover::Status | Failover::Unusable | Failover::Backward | Failover::Frozen) => {
                Self::Unusable
            }
        }
    }
}

impl From<UpstreamError> for Failover {
    fn from(error: UpstreamError) -> Self {
        match error {
            UpstreamError::DnsError
            | UpstreamError::Refused
            | UpstreamError::Tls
            | UpstreamError::Certificate
            | UpstreamError::Alert
            | UpstreamError::NoCandidate => Self::Connect,
            UpstreamError::DnsTimeout
            | UpstreamError::ConnectTimeout
            | UpstreamError::FirstByteTimeout
            | UpstreamError::Stalled
            | UpstreamError::Slow
            | UpstreamError::Outpaced => Self::Timeout,
            UpstreamError::Full => Self::Full,
            UpstreamError::Status(_) => Self::Status,
            UpstreamError::Closed => Self::Broken,
            UpstreamError::Backward => Self::Backward,
            UpstreamError::Frozen => Self::Frozen,
            // Trouble may grow: what it says beyond these is about an answer that came.
            _ => Self::Unusable,
        }
    }
}

impl Label for Kind {
    const ALL: &'static [Self] = &[Self::Playlist, Self::Segment, Self::Init, Self::Other];

    fn as_str(self) -> &'static str {
        self.as_str()
    }

    fn index(self) -> usize {
        match self {
            Self::Playlist => 0,
            Self::Segment => 1,
            Self::Init => 2,
            Self::Other => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_stands_where_its_index_says() {
        for (index, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!(kind.index(), index);
        }
    }

    #[test]
    fn statuses_and_troubles_have_their_words() {
        let status = |code| StatusCode::from_u16(code).unwrap();
        assert_eq!(StatusClass::of(Some(status(206))).as_str(), "2xx");
        assert_eq!(StatusClass::of(Some(status(799))).as_str(), "5xx");
        assert_eq!(StatusClass::of(None).as_str(), "none");
        for (code, word) in
            [(200, "success"), (304, "not_modified"), (302, "redirection"), (404, "client_error")]
        {
            assert_eq!(UpstreamEnd::from(status(code)).as_str(), word);
        }
        for (error, end, reason) in [
            (UpstreamError::Refused, "connect", "connect"),
            (UpstreamError::Certificate, "connect", "connect"),
            (UpstreamError::FirstByteTimeout, "timeout", "timeout"),
            (UpstreamError::Closed, "broken", "broken"),
            (UpstreamError::Status(status(503)), "server_error", "status"),
            (UpstreamError::Unusable("too long"), "unusable", "unusable"),
        ] {
            assert_eq!(UpstreamEnd::from(error).as_str(), end);
            assert_eq!(Failover::from(error).as_str(), reason);
        }
    }
}
