//! Cache directives, from the field that governs.

use std::time::Duration;

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName};
use sfv::{Dictionary, ListEntry, Parser};

/// The directives that a shared cache obeys. Where a field is ambiguous, the stricter meaning counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a directive that is there or not")]
pub struct CacheControl {
    /// Not to be stored.
    pub no_store: bool,
    /// Not to be used without revalidation. Also when it names fields (RFC 9111 section 5.2.2.4 allows that).
    pub no_cache: bool,
    /// Not to be shared. Also when it names fields (RFC 9111 section 5.2.2.7 allows that).
    pub private: bool,
    /// May be shared, even if the request was authorised.
    pub public: bool,
    /// Not to be used stale.
    pub must_revalidate: bool,
    /// Not to be used stale by a shared cache.
    pub proxy_revalidate: bool,
    /// `s-maxage`.
    pub s_maxage: Option<Duration>,
    /// `max-age`.
    pub max_age: Option<Duration>,
    /// RFC 5861 section 3.
    pub stale_while_revalidate: Option<Duration>,
    /// RFC 5861 section 4.
    pub stale_if_error: Option<Duration>,
}

/// Which field the directives come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// `CDN-Cache-Control` or `Surrogate-Control`, which target caches like this one.
    Targeted,
    /// `Cache-Control`, even if it is absent.
    CacheControl,
}

impl CacheControl {
    /// The directives of the first field that is present and valid: `CDN-Cache-Control` (RFC 9213), then
    /// `Surrogate-Control` (Edge Architecture 1.0), then `Cache-Control`.
    pub(super) fn governing(headers: &HeaderMap) -> (Self, Source) {
        if let Some(control) = Self::from_dictionary(headers, &CDN_CACHE_CONTROL) {
            return (control, Source::Targeted);
        }
        if headers.contains_key(SURROGATE_CONTROL) {
            return (Self::from_list(headers, &SURROGATE_CONTROL), Source::Targeted);
        }
        (Self::from_list(headers, &CACHE_CONTROL), Source::CacheControl)
    }

    /// The directives of `Cache-Control` alone.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        Self::from_list(headers, &CACHE_CONTROL)
    }

    /// RFC 9213 section 2.1: a structured dictionary. A field that is empty or does not parse counts as
    /// absent.
    fn from_dictionary(headers: &HeaderMap, name: &HeaderName) -> Option<Self> {
        let mut dictionary = Dictionary::new();
        for value in headers.get_all(name) {
            dictionary = Parser::new(value.as_bytes()).parse_dictionary_with_visitor(dictionary).ok()?;
        }
        if dictionary.is_empty() {
            return None;
        }
        let mut control = Self::default();
        for (key, entry) in &dictionary {
            match argument(entry) {
                Argument::False => {}
                Argument::True => control.set(key.as_str(), None, Repeat::Replaces),
                Argument::Seconds(text) => {
                    control.set(key.as_str(), Some(text.as_bytes()), Repeat::Replaces);
                }
                // A type that no directive has. For a flag the name is enough; for a lifetime it is an
                // invalid number.
                Argument::Other => control.set(key.as_str(), Some(b""), Repeat::Replaces),
            }
        }
        Some(control)
    }

    /// RFC 9111 section 5.2: a comma-separated list over all lines of the field.
    fn from_list(headers: &HeaderMap, name: &HeaderName) -> Self {
        let mut control = Self::default();
        for value in headers.get_all(name) {
            let mut rest = value.as_bytes();
            while let Some(directive) = next_directive(rest) {
                control.set(&directive.name, directive.argument.as_deref(), Repeat::Conflicts);
                rest = directive.rest;
            }
        }
        control
    }

    fn set(&mut self, name: &str, argument: Option<&[u8]>, repeat: Repeat) {
        match name {
            // Edge Architecture 1.0: for surrogates that do not belong to the origin. A CDN is one.
            "no-store" | "no-store-remote" => self.no_store = true,
            "no-cache" => self.no_cache = true,
            "private" => self.private = true,
            "public" => self.public = true,
            "must-revalidate" => self.must_revalidate = true,
            "proxy-revalidate" => self.proxy_revalidate = true,
            "s-maxage" => set_seconds(&mut self.s_maxage, argument, repeat),
            "max-age" => set_seconds(&mut self.max_age, argument, repeat),
            "stale-while-revalidate" => set_seconds(&mut self.stale_while_revalidate, argument, repeat),
            "stale-if-error" => set_seconds(&mut self.stale_if_error, argument, repeat),
            _ => {}
        }
    }
}

/// The meaning of a repeated directive.
#[derive(Clone, Copy)]
enum Repeat {
    /// The last one counts (RFC 9651 section 4.2.2).
    Replaces,
    /// Unless both are equal, the response is stale (RFC 9111 section 4.2.1).
    Conflicts,
}

/// An invalid number means "stale", and grants nothing (RFC 9111 section 4.2.1).
fn set_seconds(slot: &mut Option<Duration>, argument: Option<&[u8]>, repeat: Repeat) {
    let value = argument.and_then(delta_seconds).unwrap_or_default();
    *slot = match (*slot, repeat) {
        (Some(earlier), Repeat::Conflicts) if earlier != value => Some(Duration::ZERO),
        _ => Some(value),
    };
}

/// The value of a dictionary member.
enum Argument {
    True,
    False,
    Seconds(String),
    Other,
}

fn argument(entry: &ListEntry) -> Argument {
    let ListEntry::Item(item) = entry else { return Argument::Other };
    match (item.bare_item.as_boolean(), item.bare_item.as_integer()) {
        (Some(true), _) => Argument::True,
        (Some(false), _) => Argument::False,
        (None, Some(seconds)) => Argument::Seconds(seconds.to_string()),
        (None, None) => Argument::Other,
    }
}

/// A directive at the beginning of a list.
struct Directive<'a> {
    /// In lower case.
    name: String,
    /// Without its quotes.
    argument: Option<Vec<u8>>,
    /// The rest of the list.
    rest: &'a [u8],
}

/// Splits off the first directive of a list; `None` at its end.
///
/// A quoted argument may contain commas. Without a closing quote it reaches to the end of the line.
fn next_directive(text: &[u8]) -> Option<Directive<'_>> {
    if text.is_empty() {
        return None;
    }
    let end = text.iter().position(|byte| matches!(byte, b',' | b'=')).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    let name = String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase();
    let Some(value) = rest.strip_prefix(b"=") else {
        return Some(Directive { name, argument: None, rest: after_comma(rest) });
    };
    let (argument, after) = match value.trim_ascii_start().strip_prefix(b"\"") {
        Some(quoted) => unquote(quoted),
        None => token(value),
    };
    // Text between a closing quote and the next comma is ignored.
    Some(Directive { name, argument: Some(argument), rest: after_comma(after) })
}

fn token(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let end = text.iter().position(|&byte| byte == b',').unwrap_or(text.len());
    let (token, after) = text.split_at_checked(end).unwrap_or((text, b""));
    (token.trim_ascii().to_vec(), after)
}

fn after_comma(text: &[u8]) -> &[u8] {
    let comma = text.iter().position(|&byte| byte == b',');
    comma.and_then(|at| text.get(at + 1..)).unwrap_or_default()
}

/// Reads a quoted string after its opening quote (RFC 9110 section 5.6.4).
fn unquote(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'"' => break,
            b'\\' => {
                out.extend(tail.first());
                rest = tail.get(1..).unwrap_or_default();
            }
            _ => out.push(byte),
        }
    }
    (out, rest)
}

/// RFC 9111 section 1.2.2: digits only. A larger number than 2^31 counts as 2^31.
pub(super) fn delta_seconds(text: &[u8]) -> Option<Duration> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = std::str::from_utf8(text).ok()?.parse::<u64>().unwrap_or(u64::MAX);
    Some(Duration::from_secs(seconds).min(DELTA_MAX))
}

/// RFC 9111 section 1.2.2.
pub(super) const DELTA_MAX: Duration = Duration::from_secs(1 << 31);

const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");
const SURROGATE_CONTROL: HeaderName = HeaderName::from_static("surrogate-control");
