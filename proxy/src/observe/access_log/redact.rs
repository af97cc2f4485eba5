//! Redaction: the log must not contain the values of query parameters that grant access.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The names of the parameters whose values are replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redaction(Vec<String>);

impl Redaction {
    /// Replaces the values of these parameters; their names are compared without case.
    pub fn new(names: &[String]) -> Self {
        Self(names.to_vec())
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
        let Some((before, query)) = url.split_once('?') else { return Cow::Borrowed(url) };
        match self.query(query) {
            Cow::Borrowed(_) => Cow::Borrowed(url),
            Cow::Owned(redacted) => Cow::Owned(format!("{before}?{redacted}")),
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
    }
}
