//! `Cache-Status` (RFC 9211) and `X-Cache`: what each tier did, the tier nearest the origin first.

use std::fmt::{self, Display};
use std::io::Write as _;

use http::HeaderMap;
use http::header::HeaderName;
use tidegate_http1::lines;

use crate::field;
use crate::token::tokens;

/// The field of RFC 9211.
pub static CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The older, looser way to tell the same; shield first, edge last.
pub static X_CACHE: HeaderName = HeaderName::from_static("x-cache");

tokens! {
    /// Why a request went forward (RFC 9211 2.2).
    Reason {
        /// The configuration or the request asked not to use the cache.
        Bypass = "bypass",
        /// The method requires it.
        Method = "method",
        /// Nothing is held for this URI.
        UriMiss = "uri-miss",
        /// Something is held, but no variant that this request selects.
        VaryMiss = "vary-miss",
        /// Nothing usable is held, for either of the two reasons above.
        Miss = "miss",
        /// The request's own Cache-Control refuses what is held.
        Request = "request",
        /// What is held is stale.
        Stale = "stale",
        /// What is held lacks the bytes asked for.
        Partial = "partial",
    }
}

/// What a cache did with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Answered without going forward (2.1).
    Hit,
    /// Went forward (2.2).
    Forward {
        /// Why.
        reason: Reason,
        /// What the next hop answered (2.3).
        status: Option<u16>,
        /// Whether the answer is kept (2.5).
        stored: bool,
        /// Whether the request shared another one's fill (2.6).
        collapsed: bool,
    },
    /// Answered by the node itself; the cache had no part in it.
    Own,
}

/// One tier's member of the `Cache-Status` list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// The node that speaks.
    pub node: &'a str,
    /// What it did.
    pub outcome: Outcome,
    /// Seconds of freshness left; negative when stale (2.4).
    pub ttl: Option<i64>,
    /// More, for people (2.8).
    pub detail: Option<&'a str>,
}

impl Display for Member<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", field::Name(self.node))?;
        match self.outcome {
            Outcome::Hit => out.write_str("; hit")?,
            Outcome::Forward { reason, status, stored, collapsed } => {
                write!(out, "; fwd={reason}")?;
                if let Some(status) = status {
                    write!(out, "; fwd-status={status}")?;
                }
                if stored {
                    out.write_str("; stored")?;
                }
                if collapsed {
                    out.write_str("; collapsed")?;
                }
            }
            Outcome::Own => {}
        }
        let mut parameters = Vec::new();
        append_parameters(&mut parameters, self.ttl, self.detail);
        out.write_str(&String::from_utf8_lossy(&parameters))
    }
}

/// Appends to a member what differs from response to response: the seconds of freshness that are left, and a
/// detail.
pub fn append_parameters(to: &mut Vec<u8>, ttl: Option<i64>, detail: Option<&str>) {
    if let Some(ttl) = ttl {
        to.extend_from_slice(if ttl < 0 { b"; ttl=-" } else { b"; ttl=" });
        lines::decimal(to, ttl.unsigned_abs());
    }
    if let Some(detail) = detail {
        // Writing to a vector cannot fail.
        let _never = write!(to, "; detail={}", field::Name(detail));
    }
}

/// Adds this tier's member behind those of the tiers nearer the origin (RFC 9211 2).
pub fn append(headers: &mut HeaderMap, member: &Member<'_>) {
    field::append_member(headers, &CACHE_STATUS, member);
}

/// Adds this tier's word to `X-Cache`.
pub fn append_x_cache(headers: &mut HeaderMap, word: &str) {
    field::append_member(headers, &X_CACHE, word);
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use sfv::{BareItem, List, ListEntry, Parser};

    use super::*;

    const FILLED: Outcome =
        Outcome::Forward { reason: Reason::UriMiss, status: Some(200), stored: true, collapsed: true };

    fn member(outcome: Outcome, ttl: Option<i64>, detail: Option<&'static str>) -> Member<'static> {
        Member { node: "edge-1", outcome, ttl, detail }
    }

    #[test]
    fn members_read_as_the_rfc_writes_them() {
        for (member, text) in [
            (member(Outcome::Hit, Some(12), None), "edge-1; hit; ttl=12"),
            (member(Outcome::Hit, Some(-3), None), "edge-1; hit; ttl=-3"),
            (
                member(FILLED, Some(12), None),
                "edge-1; fwd=uri-miss; fwd-status=200; stored; collapsed; ttl=12",
            ),
            (member(Outcome::Own, None, Some("unknown-host")), "edge-1; detail=unknown-host"),
            (
                member(Outcome::Own, None, Some("too far, \"ahead\"")),
                r#"edge-1; detail="too far, \"ahead\"""#,
            ),
        ] {
            assert_eq!(member.to_string(), text);
        }
    }

    #[test]
    fn a_tier_speaks_after_those_nearer_the_origin() {
        let mut headers = HeaderMap::new();
        append(&mut headers, &Member { node: "shield-1", outcome: FILLED, ttl: None, detail: None });
        append(&mut headers, &member(Outcome::Hit, None, None));
        append_x_cache(&mut headers, "MISS");
        append_x_cache(&mut headers, "HIT");
        let text = headers[&CACHE_STATUS].to_str().unwrap();
        assert_eq!(text, "shield-1; fwd=uri-miss; fwd-status=200; stored; collapsed, edge-1; hit");
        assert_eq!(headers[&X_CACHE], HeaderValue::from_static("MISS, HIT"));
    }

    #[test]
    fn a_structured_field_parser_reads_every_reason_back() {
        for &reason in Reason::ALL {
            let outcome = Outcome::Forward { reason, status: None, stored: false, collapsed: false };
            let text =
                Member { node: "1 odd\"name", outcome, ttl: Some(-1), detail: Some("\u{e9}") }.to_string();
            let list: List = Parser::new(&text).parse().unwrap();
            let [ListEntry::Item(item)] = list.as_slice() else { panic!("{text}") };
            assert_eq!(item.bare_item.as_string().unwrap().as_str(), "1 odd\"name");
            let BareItem::Token(told) = &item.params["fwd"] else { panic!("{text}") };
            assert_eq!(told.as_str(), reason.as_str());
        }
    }
}
