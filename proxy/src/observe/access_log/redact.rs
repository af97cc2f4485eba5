//! Redaction: the log must not contain the values of query parameters that grant access.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use tidegate_access::token::in_path;

/// The names of the parameters whose values are replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redaction(Vec<String>);

impl Redaction {
    /// Replaces the values of these parameters; their names are compared without case.
    pub fn new(names: &[String]) -> Self {
        Self(names.to_vec())
    }

    /// The same, and these names. No name is ever forgotten: links with it stay in use.
    pub(super) fn and(&self, names: impl Iterator<Item = String>) -> Self {
        let mut all = self.0.clone();
        for name in names {
            if !all.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
                all.push(name);
            }
        }
        Self(all)
    }

    /// A query with `REDACTED` for the values of the named parameters; borrowed if there are none.
    pub fn query<'a>(&self, query: &'a str) -> Cow<'a, str> {
        if !query.split('&').any(|parameter| self.secret_name(parameter).is_some()) {
            return Cow::Borrowed(query);
        }
        let mut redacted = String::with_capacity(query.len());
        for (index, parameter) in query.split('&').enumerate() {
            if index > 0 {
                redacted.push('&');
            }
            match self.secret_name(parameter) {
                Some(name) => {
                    redacted.push_str(name);
                    redacted.push_str("=REDACTED");
                }
                None => redacted.push_str(parameter),
            }
        }
        Cow::Owned(redacted)
    }

    /// The same for the query of a URL, such as a referrer.
    pub fn url<'a>(&self, url: &'a str) -> Cow<'a, str> {
        let (before, query) = match url.split_once('?') {
            Some((before, query)) => (before, Some(query)),
            None => (url, None),
        };
        let start = before.find("://").map_or(0, |scheme| scheme + 3);
        let start = before.get(start..).and_then(|rest| rest.find('/')).map_or(before.len(), |at| start + at);
        let (origin, path) = before.split_at_checked(start).unwrap_or((before, ""));
        match (self.path(path), query.map(|query| self.query(query))) {
            (Cow::Borrowed(_), None | Some(Cow::Borrowed(_))) => Cow::Borrowed(url),
            (path, None) => Cow::Owned(format!("{origin}{path}")),
            (path, Some(query)) => Cow::Owned(format!("{origin}{path}?{query}")),
        }
    }

    /// A path with `~REDACTED` for a token in its first component; borrowed if there is none. It does not
    /// matter whether the site has tokens: a request for an unknown host is logged, too.
    pub fn path<'a>(&self, path: &'a str) -> Cow<'a, str> {
        match in_path(path) {
            Some((token, rest)) if token.len() >= TOKEN_BYTES_MIN => Cow::Owned(format!("/~REDACTED{rest}")),
            _ => Cow::Borrowed(path),
        }
    }

    /// The name, as written, of a parameter whose value must not be logged. The name is compared decoded,
    /// because the server that checks the token decodes it.
    fn secret_name<'a>(&self, parameter: &'a str) -> Option<&'a str> {
        let (name, _value) = parameter.split_once('=')?;
        let is_secret = |secret: &String| {
            secret.eq_ignore_ascii_case(name)
                || (name.contains('%')
                    && percent_decode_str(name).decode_utf8_lossy().eq_ignore_ascii_case(secret))
        };
        self.0.iter().any(is_secret).then_some(name)
    }
}

/// Shorter components that begin with `~` are names, such as those of users.
const TOKEN_BYTES_MIN: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_listed_parameters_are_redacted_and_no_others() {
        let redaction = Redaction::new(&["token".to_owned(), "hdnts".to_owned()]);
        for (query, redacted) in [
            ("", ""),
            ("a=1&b=2", "a=1&b=2"),
            ("a=1&token=secret&b=2", "a=1&token=REDACTED&b=2"),
            ("TOKEN=secret", "TOKEN=REDACTED"),
            ("hdnts=exp=1~acl=/*~hmac=ab&token=x", "hdnts=REDACTED&token=REDACTED"),
            ("%74oken=secret", "%74oken=REDACTED"),
            ("tokens=x&token", "tokens=x&token"),
            ("token=", "token=REDACTED"),
        ] {
            assert_eq!(redaction.query(query), redacted, "{query}");
        }
        assert!(matches!(redaction.query("a=1"), Cow::Borrowed(_)));
        assert_eq!(redaction.url("https://a.example/p?token=x"), "https://a.example/p?token=REDACTED");
        assert_eq!(redaction.url("https://a.example/p"), "https://a.example/p");
        assert_eq!(redaction.url("https://a.example"), "https://a.example");
        let token = "tg1.eyJleHAiOjE4MDAwMDAwNjB9.c2VjcmV0";
        for (path, redacted) in
            [("/~{}/a/b.ts", "/~REDACTED/a/b.ts"), ("/%7E{}", "/~REDACTED"), ("/~user/a", "/~user/a")]
        {
            assert_eq!(redaction.path(&path.replace("{}", token)), redacted);
        }
        let url = format!("https://a.example/~{token}/p?a=1");
        assert_eq!(redaction.url(&url), "https://a.example/~REDACTED/p?a=1");
    }
}
