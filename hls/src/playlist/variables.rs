//! Variables in URIs (sections 4.3 and 4.4.2.3).

use std::borrow::Cow;
use std::collections::HashMap;

use crate::attributes;
use crate::lines::Line;

/// The variables that a playlist has defined so far.
#[derive(Debug)]
pub(crate) struct Variables {
    values: HashMap<String, String>,
    bytes_left: usize,
}

impl Default for Variables {
    fn default() -> Self {
        Self { values: HashMap::new(), bytes_left: RESOLVED_BYTES_MAX }
    }
}

impl Variables {
    /// Adds one EXT-X-DEFINE. The values of IMPORT and QUERYPARAM are elsewhere: in the multivariant
    /// playlist, or in the URI that the player requested. A URI that uses them cannot be resolved here.
    pub(crate) fn define(&mut self, line: Line<'_>) {
        let list = line.value().map_or(&b""[..], |(_, list)| list);
        let text = |name: &[u8]| std::str::from_utf8(attributes::value(list, name)?).ok().map(str::to_owned);
        if let (Some(name), Some(value)) = (text(b"NAME"), text(b"VALUE")) {
            self.values.insert(name, value);
        }
    }

    /// The URI with its `{$name}` replaced; `None` if a name is unknown or the URI grows longer than servers
    /// accept. A value is not expanded again.
    pub(crate) fn resolve<'a>(&mut self, uri: &'a str) -> Option<Cow<'a, str>> {
        if !uri.contains("{$") {
            return Some(Cow::Borrowed(uri));
        }
        let mut resolved = String::new();
        let mut rest = uri;
        while let Some((before, reference)) = rest.split_once("{$") {
            let (name, after) = reference.split_once('}')?;
            let value = self.values.get(name)?;
            if resolved.len() + before.len() + value.len() > URI_BYTES_MAX {
                return None;
            }
            resolved.push_str(before);
            resolved.push_str(value);
            rest = after;
        }
        resolved.push_str(rest);
        self.bytes_left = self.bytes_left.checked_sub(resolved.len())?;
        Some(Cow::Owned(resolved))
    }
}

/// A short reference can stand for a long value, and a playlist can have many of them: both are bounded, so
/// that a small playlist stays small in memory.
const URI_BYTES_MAX: usize = 8_192;
const RESOLVED_BYTES_MAX: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::lines;

    fn define(variables: &mut Variables, list: &str) {
        let text = format!("#EXT-X-DEFINE:{list}\n");
        variables.define(lines(text.as_bytes()).next().unwrap());
    }

    fn variables(defined: &[(&str, &str)]) -> Variables {
        let mut variables = Variables::default();
        for (name, value) in defined {
            define(&mut variables, &format!("NAME=\"{name}\",VALUE=\"{value}\""));
        }
        variables
    }

    #[test]
    fn references_are_replaced_and_unknown_ones_make_the_uri_unknown() {
        let mut variables = variables(&[("host", "https://a.example"), ("t", "{$host}")]);
        for list in ["IMPORT=\"other\"", "QUERYPARAM=\"token\"", "NAME=\"other\"", "VALUE=\"other\""] {
            define(&mut variables, list);
        }
        for (uri, expected) in [
            ("1.ts", Some("1.ts")),
            ("{$host}/1.ts?a={$host}", Some("https://a.example/1.ts?a=https://a.example")),
            ("{$t}", Some("{$host}")),
            ("{host}", Some("{host}")),
            ("{$other}/1.ts", None),
            ("1.ts?{$token}", None),
            ("{$host", None),
            ("{$}", None),
        ] {
            assert_eq!(variables.resolve(uri).as_deref(), expected, "{uri}");
        }
    }

    #[test]
    fn the_expansion_of_references_is_bounded() {
        let long = "x".repeat(URI_BYTES_MAX / 2);
        let mut variables = variables(&[("long", &long)]);
        assert_eq!(variables.resolve("{$long}{$long}{$long}"), None);
        let resolved = (0..10_000).filter(|_| variables.resolve("{$long}").is_some()).count();
        assert_eq!(resolved, RESOLVED_BYTES_MAX / long.len());
        assert_eq!(variables.resolve("1.ts").as_deref(), Some("1.ts"));
    }
}
