//! The objects that a purge selects.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use tidegate_cache::{Head, Key, Selection};
use tidegate_headers::cache_tags;
use tidegate_hls::without_mark;

/// What a purge selects: objects of some sites, by a rule.
#[derive(Debug)]
pub(super) struct Scope {
    /// The names of the sites; `None` for all.
    pub(super) sites: Option<HashSet<String>>,
    pub(super) rule: Rule,
}

/// Which objects of these sites.
#[derive(Debug)]
pub(super) enum Rule {
    /// Those of these resources: site, line feed, path and query, as in a key.
    Resources(HashSet<String>),
    /// Those whose path and query begin so.
    Prefixes(Vec<String>),
    /// Those with one of these tags.
    Tags(Vec<String>),
    All,
}

impl Scope {
    pub(super) fn resource(key: &Key) -> Self {
        Self { sites: None, rule: Rule::Resources(HashSet::from([resource(key).into_owned()])) }
    }
}

/// The resource of a key: without a slice, a variant, and the mark that the names of a joined restart have.
pub(super) fn resource(key: &Key) -> Cow<'_, str> {
    let text = key.as_str();
    let site = key.site().len();
    let target = key.path_and_query();
    let target = target.split('#').next().unwrap_or(target);
    match without_mark(target) {
        Cow::Borrowed(target) => Cow::Borrowed(text.get(..=site + target.len()).unwrap_or(text)),
        Cow::Owned(target) => Cow::Owned(format!("{}\n{target}", key.site())),
    }
}

impl Selection for Scope {
    fn selects_key(&self, key: &Key) -> bool {
        if self.sites.as_ref().is_some_and(|sites| !sites.contains(key.site())) {
            return false;
        }
        match &self.rule {
            Rule::Resources(resources) => resources.contains(&*resource(key)),
            Rule::Prefixes(prefixes) => {
                prefixes.iter().any(|prefix| key.path_and_query().starts_with(&**prefix))
            }
            Rule::Tags(_) | Rule::All => true,
        }
    }

    fn selects_head(&self, head: &Head) -> Option<bool> {
        match &self.rule {
            Rule::Tags(tags) => Some(cache_tags::has_any(&head.headers, tags)),
            Rule::Resources(_) | Rule::Prefixes(_) | Rule::All => None,
        }
    }

    fn reads_heads(&self) -> bool {
        matches!(self.rule, Rule::Tags(_))
    }
}

/// For the log: the first name, and how many others there are.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, count) = match &self.rule {
            Rule::Resources(resources) => (resources.iter().next(), resources.len()),
            Rule::Prefixes(names) | Rule::Tags(names) => (names.first(), names.len()),
            Rule::All => (None, 0),
        };
        match (first, &self.sites) {
            (Some(first), _) => {
                // A resource has its site before the line feed.
                let (_, name) = first.split_once('\n').unwrap_or(("", first));
                f.write_str(name)?;
            }
            (None, Some(sites)) => {
                let mut names: Vec<_> = sites.iter().map(String::as_str).collect();
                names.sort_unstable();
                f.write_str(&names.join(" "))?;
            }
            (None, None) => f.write_str("*")?,
        }
        if count > 1 { write!(f, " and {} more", count - 1) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(rule: Rule) -> Scope {
        Scope { sites: None, rule }
    }

    #[test]
    fn a_resource_has_its_slices_variants_and_marked_names() {
        let key = Key::new("a", "/1.ts?x=1");
        let scope = Scope::resource(&key);
        let mark = format!("/1.ts?{}=5&x=1", tidegate_hls::Mark::NAME);
        for other in ["/1.ts?x=1", "/1.ts?x=1#bytes=0-99", "/1.ts?x=1\n3\nfr", &mark] {
            assert!(scope.selects_key(&Key::new("a", other)), "{other}");
        }
        for other in ["/1.ts", "/1.ts?x=12", "/1.ts?x=1&y=1", "/2.ts?x=1", "/1.ts?x=#bytes=0-1"] {
            assert!(!scope.selects_key(&Key::new("a", other)), "{other}");
        }
        assert!(!scope.selects_key(&Key::new("b", "/1.ts?x=1")));
        assert_eq!(scope.to_string(), "/1.ts?x=1");
    }

    #[test]
    fn a_prefix_is_one_of_path_and_query() {
        let scope = scope(Rule::Prefixes(vec!["/live/ch1".to_owned(), "/vod/".to_owned()]));
        for (target, is_selected) in [
            ("/live/ch1/1.ts", true),
            ("/live/ch10/1.ts?x=1", true),
            ("/vod/1.ts#bytes=0-1", true),
            ("/vod", false),
            ("/live/ch2/1.ts", false),
        ] {
            assert_eq!(scope.selects_key(&Key::new("a", target)), is_selected, "{target}");
        }
        assert_eq!(scope.to_string(), "/live/ch1 and 1 more");
    }

    #[test]
    fn sites_limit_what_a_purge_selects() {
        let scope = Scope { sites: Some(HashSet::from(["a".to_owned()])), rule: Rule::All };
        assert!(scope.selects_key(&Key::new("a", "/1.ts")) && !scope.selects_key(&Key::new("b", "/1.ts")));
        assert_eq!(scope.to_string(), "a");
        assert_eq!(self::scope(Rule::All).to_string(), "*");
    }
}
