//! The values of metric labels other than [`crate::fate::Fate`].

use http::StatusCode;
use tidegate_access::Denial;
use tidegate_access::token::Refusal;
use tidegate_hls::Kind;
use tidegate_upstream::{Outcome, State, UpstreamError};

use crate::observe::label::{Label, label};

label! {
    /// The first digit of a status.
    StatusClass {
        /// The viewer left before the response began.
        None = "none",
        /// 1xx.
        Informational = "1xx",
        /// 2xx.
        Success = "2xx",
        /// 3xx.
        Redirection = "3xx",
        /// 4xx.
        ClientError = "4xx",
        /// 5xx and above.
        ServerError = "5xx",
    }
}

label! {
    /// The error for which this side closed an HTTP/2 connection, by its code (RFC 9113 section 7).
    Http2Error {
        /// Frames that mean nothing where they are.
        Protocol = "protocol_error",
        /// A window beyond its bounds.
        FlowControl = "flow_control_error",
        /// A frame of a wrong length.
        FrameSize = "frame_size_error",
        /// Header fields that cannot be decompressed.
        Compression = "compression_error",
        /// More frames than a client needs: CONTINUATION without an end, resets, frames that cause resets.
        EnhanceYourCalm = "enhance_your_calm",
        /// Another one.
        Other = "other",
    }
}

label! {
    /// The result of a reload of the configuration, or of a file.
    Reload {
        /// The new contents are in use.
        Success = "success",
        /// The previous contents stay in use.
        Failure = "failure",
    }
}

label! {
    /// Whether the report of a player could be read.
    CmcdResult {
        /// As a whole.
        Read = "read",
        /// Not, or only in part.
        Malformed = "malformed",
    }
}

label! {
    /// The event that a player reports (CTA-5004-B, the key `e`).
    CmcdEvent {
        /// The state of the player has changed.
        PlayState = "ps",
        /// An error.
        Error = "e",
        /// An interval has passed.
        Interval = "t",
        /// A response was received.
        Response = "rr",
        /// Another one, or none.
        Other = "other",
    }
}

impl CmcdEvent {
    /// The event with this name.
    pub(crate) fn of(name: Option<&str>) -> Self {
        let named = Self::ALL.iter().copied().find(|event| Some(event.as_str()) == name);
        named.unwrap_or(Self::Other)
    }
}

label! {
    /// What became of a notice of a stream.
    WebhookResult {
        /// The receiver has it.
        Success = "success",
        /// No request for it was answered with success.
        Failure = "failure",
        /// Too many notices waited, or the node ended.
        Dropped = "dropped",
    }
}

label! {
    /// What a purge names.
    PurgeKind {
        /// Resources.
        File = "files",
        /// The beginnings of paths.
        Prefix = "prefixes",
        /// The sites of hosts.
        Host = "hosts",
        /// Tags of responses.
        Tag = "tags",
        /// Everything.
        Everything = "everything",
    }
}

label! {
    /// The result of an order of a certificate.
    Ordered {
        /// The certificate is in the storage.
        Success = "success",
        /// There is none; a later order follows.
        Failure = "failure",
    }
}

label! {
    /// How a fill ended.
    FillEnd {
        /// The object is in the cache.
        Stored = "stored",
        /// The cached object was still current (304).
        Revalidated = "revalidated",
        /// The response cannot be shared.
        Uncacheable = "uncacheable",
        /// No upstream had a usable response.
        Failed = "failed",
        /// The body broke, and no upstream could continue it.
        Broken = "broken",
        /// Every reader left before its end.
        Abandoned = "abandoned",
    }
}

label! {
    /// Why a connection is closed before its first request.
    ConnectionRefusal {
        /// The listener expects a PROXY header, and the peer is no trusted proxy.
        UntrustedProxy = "untrusted_proxy",
        /// The PROXY header is malformed, or it did not arrive in time.
        ProxyHeader = "proxy_header",
        /// The lists of the listener do not allow the address.
        AddressDenied = "address_denied",
        /// The address has too many connections.
        PerAddress = "connections_per_address",
    }
}

label! {
    /// Why viewers cannot share a stream.
    UnsharedReason {
        /// `Cache-Control: no-store`.
        NoStore = "no-store",
        /// `Cache-Control: private`.
        Private = "private",
        /// `Set-Cookie`.
        SetCookie = "set-cookie",
        /// `Vary: *`.
        Vary = "vary",
        /// Each viewer requests the playlist with another query.
        Query = "query",
    }
}

label! {
    /// Why a token does not admit a request.
    TokenRefusal {
        /// There is none.
        Missing = "missing",
        /// It has no known format.
        Malformed = "malformed",
        /// It has a rule that this node does not implement.
        Unsupported = "unsupported",
        /// No key has the name that it gives.
        UnknownKey = "unknown-key",
        /// Its algorithm is not that of its key.
        Algorithm = "algorithm",
        /// Its signature is not valid.
        Signature = "signature",
        /// It is revoked.
        Revoked = "revoked",
        /// It has expired.
        Expired = "expired",
        /// It is not valid yet.
        NotYetValid = "not-yet-valid",
        /// It is for another audience.
        Audience = "audience",
        /// It is for another path or URI.
        Path = "path",
        /// It is for other methods.
        Method = "method",
        /// It is for another client address.
        Address = "address",
        /// It is for other countries.
        Country = "country",
        /// Another reason.
        Other = "other",
    }
}

impl From<Refusal> for TokenRefusal {
    fn from(refusal: Refusal) -> Self {
        let word = refusal.code().strip_prefix("token-");
        Self::ALL.iter().copied().find(|reason| Some(reason.as_str()) == word).unwrap_or(Self::Other)
    }
}

label! {
    /// How an upstream request ended.
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
        /// A timeout.
        Timeout = "timeout",
        /// The connection broke.
        Broken = "broken",
        /// The response is not HTTP, or not the requested object.
        Unusable = "unusable",
        /// Not sent: the upstream was at its limit of requests.
        Full = "full",
        /// Given up before its end: every reader had left, or the object did not fit.
        Abandoned = "abandoned",
    }
}

label! {
    /// Why a request fails over to the next upstream.
    Failover {
        /// No connection.
        Connect = "connect",
        /// A timeout.
        Timeout = "timeout",
        /// A status that counts as a failure.
        Status = "status",
        /// The connection broke.
        Broken = "broken",
        /// The response is not HTTP, or not the requested object.
        Unusable = "unusable",
        /// The upstream was at its limit of requests.
        Full = "full",
        /// Its live playlist is older than one already served.
        Backward = "backward",
        /// Its live playlist does not advance.
        Frozen = "frozen",
    }
}

label! {
    /// The state of an upstream.
    UpstreamState {
        /// It receives requests.
        Up = "up",
        /// It was down or ejected and receives a growing share of requests.
        Returning = "returning",
        /// Its responses fail: the last choice.
        Ejected = "ejected",
        /// It cannot be reached: the last choice.
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

impl From<State> for UpstreamState {
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
            // `UpstreamError` may grow; a new variant is about a response that arrived.
            _ => Self::Unusable,
        }
    }
}

impl Label for Denial {
    const ALL: &'static [Self] = Self::ALL;

    fn as_str(self) -> &'static str {
        self.as_str()
    }

    fn index(self) -> usize {
        self as usize
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
    fn a_kind_is_at_its_index() {
        for (index, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!(kind.index(), index);
        }
    }

    #[test]
    fn statuses_and_errors_have_their_labels() {
        let status = |code| StatusCode::from_u16(code).unwrap();
        assert_eq!(StatusClass::of(Some(status(206))).as_str(), "2xx");
        assert_eq!(StatusClass::of(Some(status(799))).as_str(), "5xx");
        assert_eq!(StatusClass::of(None).as_str(), "none");
        for (code, label) in
            [(200, "success"), (304, "not_modified"), (302, "redirection"), (404, "client_error")]
        {
            assert_eq!(UpstreamEnd::from(status(code)).as_str(), label);
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
