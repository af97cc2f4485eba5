//! Why a token does not admit a request.

/// Why a token does not admit a request. The text of an error is for the viewer, [`Refusal::code`] for
/// programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no token.
    #[error("the request has no token")]
    Missing,
    /// The token has no known format.
    #[error("the token cannot be read")]
    Malformed,
    /// The token has a rule that this node does not implement.
    #[error("the token uses {0}, which is not supported")]
    Unsupported(&'static str),
    /// No key has the name that the token gives.
    #[error("the token was signed with a key that is not known")]
    UnknownKey,
    /// The token names another algorithm than its key has, or none.
    #[error("the token's algorithm is not that of its key")]
    Algorithm,
    /// The signature is not that of the key.
    #[error("the token's signature is not valid")]
    Signature,
    /// The token is revoked.
    #[error("the token is revoked")]
    Revoked,
    /// The token has expired.
    #[error("the token has expired")]
    Expired,
    /// The token is not valid yet.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// The token is for another audience.
    #[error("the token is for another audience")]
    Audience,
    /// The token is for another path or URI.
    #[error("the token is for another path")]
    Path,
    /// The token is for other methods.
    #[error("the token is not for this method")]
    Method,
    /// The token is for another client address.
    #[error("the token is for another client address")]
    Address,
    /// The token is for other countries, or the country of the client is not known.
    #[error("the token is not for this country")]
    Country,
}

impl Refusal {
    /// One refusal of each code.
    pub const ALL: [Self; 14] = [
        Self::Missing,
        Self::Malformed,
        Self::Unsupported("a rule"),
        Self::UnknownKey,
        Self::Algorithm,
        Self::Signature,
        Self::Revoked,
        Self::Expired,
        Self::NotYetValid,
        Self::Audience,
        Self::Path,
        Self::Method,
        Self::Address,
        Self::Country,
    ];

    /// The code: a stable word for programs, logs and metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "token-missing",
            Self::Malformed => "token-malformed",
            Self::Unsupported(_) => "token-unsupported",
            Self::UnknownKey => "token-unknown-key",
            Self::Algorithm => "token-algorithm",
            Self::Signature => "token-signature",
            Self::Revoked => "token-revoked",
            Self::Expired => "token-expired",
            Self::NotYetValid => "token-not-yet-valid",
            Self::Audience => "token-audience",
            Self::Path => "token-path",
            Self::Method => "token-method",
            Self::Address => "token-address",
            Self::Country => "token-country",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_a_code_of_its_own() {
        let codes: std::collections::HashSet<_> = Refusal::ALL.iter().map(|refusal| refusal.code()).collect();
        assert_eq!(codes.len(), Refusal::ALL.len());
        assert!(codes.iter().all(|code| code.starts_with("token-")));
    }
}
