//! Where a request has its token: in the first component of its path, in a query parameter, or in a cookie.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

/// A place of a request that may have a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Carrier {
    /// The first component of the path: `/~TOKEN/live/1.ts`.
    Path,
    /// A query parameter.
    Query,
    /// A cookie.
    Cookie,
}

/// The carriers that a site accepts, and their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carriers {
    /// The carriers from which a token is taken.
    pub accepted: Vec<Carrier>,
    /// The name of the query parameter, without percent encoding.
    pub parameter: String,
    /// The name of the cookie.
    pub cookie: String,
}

/// A request's target without its token, and the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried<'a> {
    /// The target, without the carriers of a token.
    pub target: Cow<'a, str>,
    /// The token, and where it was.
    pub token: Option<(Carrier, Cow<'a, str>)>,
}

impl Carried<'_> {
    /// The same with text of its own.
    pub fn into_owned(self) -> Carried<'static> {
        Carried {
            target: Cow::Owned(self.target.into_owned()),
            token: self.token.map(|(carrier, token)| (carrier, Cow::Owned(token.into_owned()))),
        }
    }
}

impl Carriers {
    /// Whether a token is taken from this carrier.
    pub fn accept(&self, carrier: Carrier) -> bool {
        self.accepted.contains(&carrier)
    }

    /// Takes the token from a target, or else from a `Cookie` field. The parameter is removed even where no
    /// token is taken from it: it must not reach the key.
    pub fn take<'a>(&self, target: &'a str, cookies: impl Iterator<Item = &'a [u8]>) -> Carried<'a> {
        let in_path = if self.accept(Carrier::Path) { in_path(target) } else { None };
        let (target, in_path) = match in_path {
            Some((token, "")) => (Cow::Borrowed("/"), Some(token)),
            Some((token, rest)) if rest.starts_with('/') => (Cow::Borrowed(rest), Some(token)),
            Some((token, rest)) => (Cow::Owned(format!("/{rest}")), Some(token)),
            None => (Cow::Borrowed(target), None),
        };
        let (target, in_query) = match target {
            Cow::Borrowed(target) => self.without_parameter(target),
            Cow::Owned(target) => {
                let (target, token) = self.without_parameter(&target);
                (Cow::Owned(target.into_owned()), token.map(|token| Cow::Owned(token.into_owned())))
            }
        };
        let token = in_path.map(|token| (Carrier::Path, decoded(token)));
        let in_query = in_query.filter(|_| self.accept(Carrier::Query));
        let token = token.or_else(|| Some((Carrier::Query, in_query?)));
        let token = token.or_else(|| {
            let token = self.in_cookies(cookies).filter(|_| self.accept(Carrier::Cookie))?;
            Some((Carrier::Cookie, Cow::Borrowed(token)))
        });
        Carried { target, token }
    }

    /// A target without the parameter, and the first value that it has.
    fn without_parameter<'a>(&self, target: &'a str) -> (Cow<'a, str>, Option<Cow<'a, str>>) {
        let Some((path, query)) = target.split_once('?') else { return (Cow::Borrowed(target), None) };
        let value = |parameter: &'a str| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            (decoded(name) == self.parameter).then_some(value)
        };
        let Some(token) = query.split('&').find_map(value) else { return (Cow::Borrowed(target), None) };
        let is_other = |parameter: &&'a str| value(parameter).is_none();
        if !query.split('&').any(|parameter| is_other(&parameter)) {
            return (Cow::Borrowed(path), Some(decoded(token)));
        }
        let mut rest = String::with_capacity(target.len());
        rest.push_str(path);
        let mut separator = '?';
        for parameter in query.split('&').filter(is_other) {
            rest.push(separator);
            rest.push_str(parameter);
            separator = '&';
        }
        (Cow::Owned(rest), Some(decoded(token)))
    }

    fn in_cookies<'a>(&self, mut cookies: impl Iterator<Item = &'a [u8]>) -> Option<&'a str> {
        cookies
            .find_map(|field| {
                let crumbs = std::str::from_utf8(field).ok()?.split(';').map(str::trim);
                crumbs.filter_map(|crumb| crumb.split_once('=')).find(|(name, _)| *name == self.cookie)
            })
            .map(|(_, value)| value.trim_matches('"'))
    }

    /// The value of a `Cookie` field without the token; `None` if nothing is left.
    pub fn without_cookie(&self, field: &str) -> Option<String> {
        let is_other = |crumb: &&str| crumb.split_once('=').is_none_or(|(name, _)| name != self.cookie);
        let rest: Vec<&str> = field.split(';').map(str::trim).filter(is_other).collect();
        (!rest.is_empty()).then(|| rest.join("; "))
    }
}

/// The text after the `~` at the start of a path, and the path after this component, which may be empty:
/// the place of a token in a path.
pub fn in_path(path: &str) -> Option<(&str, &str)> {
    let rest = ["/~", "/%7E", "/%7e"].iter().find_map(|start| path.strip_prefix(start))?;
    // A search for one character reads several bytes in each step.
    let component = rest.find('/').unwrap_or(rest.len());
    let end = rest.get(..component).and_then(|component| component.find('?')).unwrap_or(component);
    rest.split_at_checked(end)
}

/// A text without percent encoding. Most have none.
fn decoded(text: &str) -> Cow<'_, str> {
    if text.contains('%') { percent_decode_str(text).decode_utf8_lossy() } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carriers(accepted: &[Carrier]) -> Carriers {
        Carriers { accepted: accepted.to_vec(), parameter: "token".to_owned(), cookie: "token".to_owned() }
    }

    #[test]
    fn a_token_is_taken_from_its_carrier_and_the_target_loses_it() {
        use Carrier::{Cookie, Path, Query};
        let carriers = carriers(&[Path, Query, Cookie]);
        for (target, cookie, without, token) in [
            ("/a", "", "/a", None),
            ("/~t/a?b=1", "", "/a?b=1", Some((Path, "t"))),
            ("/%7Et%2E/a", "", "/a", Some((Path, "t."))),
            ("/~t", "", "/", Some((Path, "t"))),
            ("/~t/", "", "/", Some((Path, "t"))),
            ("/~t?b", "", "/?b", Some((Path, "t"))),
            ("/~t?b/c", "", "/?b/c", Some((Path, "t"))),
            ("/a/~t/b", "", "/a/~t/b", None),
            ("/a?token=t", "", "/a", Some((Query, "t"))),
            ("/a?b=1&token=t&c", "", "/a?b=1&c", Some((Query, "t"))),
            ("/a?token=t&", "", "/a?", Some((Query, "t"))),
            ("/a?token=t&b=1&token=u", "", "/a?b=1", Some((Query, "t"))),
            ("/a?token=t&token=u", "", "/a", Some((Query, "t"))),
            ("/a?%74oken=t%2E", "", "/a", Some((Query, "t."))),
            ("/a?token", "", "/a", Some((Query, ""))),
            ("/a?tokens=t", "", "/a?tokens=t", None),
            ("/a", "x=1; token=t; y=2", "/a", Some((Cookie, "t"))),
            ("/a", "token=\"t\"", "/a", Some((Cookie, "t"))),
            ("/a", "xtoken=t", "/a", None),
            ("/a?token=t", "token=u", "/a", Some((Query, "t"))),
            ("/~t/a?token=u", "token=v", "/a", Some((Path, "t"))),
        ] {
            let carried = carriers.take(target, std::iter::once(cookie.as_bytes()));
            assert_eq!(carried.target, without, "{target}");
            let found = carried.token.as_ref().map(|(carrier, token)| (*carrier, token.as_ref()));
            assert_eq!(found, token, "{target} {cookie}");
        }
    }

    #[test]
    fn a_parameter_never_stays_in_the_target() {
        let carriers = carriers(&[Carrier::Cookie]);
        let carried = carriers.take("/~t/a?token=t&b", std::iter::empty());
        assert_eq!((carried.target.as_ref(), carried.token), ("/~t/a?b", None));
    }

    #[test]
    fn a_cookie_field_loses_the_token_alone() {
        let carriers = carriers(&[Carrier::Cookie]);
        assert_eq!(carriers.without_cookie("a=1;token=t; b"), Some("a=1; b".to_owned()));
        assert_eq!(carriers.without_cookie("token=t"), None);
        assert_eq!(carriers.without_cookie("token=t; token=u"), None);
    }
}
