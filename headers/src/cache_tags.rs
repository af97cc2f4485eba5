//! The tags by which an origin groups its responses: `Surrogate-Key` (separated by spaces), `Cache-Tag`
//! (separated by commas), and `Cache-Groups` (RFC 9875, a list of strings).

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, List, ListEntry, Parser};

const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");

/// Whether a response has one of these tags.
pub fn has_any(headers: &HeaderMap, tags: &[String]) -> bool {
    let is_wanted = |tag: &str| tags.iter().any(|wanted| wanted == tag);
    let values = |name: &HeaderName| headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values(&SURROGATE_KEY).flat_map(str::split_ascii_whitespace).any(is_wanted)
        || values(&CACHE_TAG).flat_map(|value| value.split(',')).any(|tag| is_wanted(tag.trim_ascii()))
        || values(&CACHE_GROUPS).any(|value| groups_have(value, is_wanted))
}

/// Whether one of the strings of a list is wanted. A value that is no list has none (RFC 9651 section 4.2).
fn groups_have(value: &str, is_wanted: impl Fn(&str) -> bool) -> bool {
    let Ok(list) = Parser::new(value).parse::<List>() else { return false };
    list.iter().any(|entry| match entry {
        ListEntry::Item(item) => {
            matches!(&item.bare_item, BareItem::String(group) if is_wanted(group.as_str()))
        }
        ListEntry::InnerList(_) => false,
    })
}

/// Removes the tags for caches of one operator. `Cache-Groups` is for all caches.
pub fn remove(headers: &mut HeaderMap) {
    headers.remove(&SURROGATE_KEY);
    headers.remove(&CACHE_TAG);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(fields: &[(&'static str, &'static str)], tag: &str) -> bool {
        let fields = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), http::HeaderValue::from_static(value)));
        has_any(&fields.collect(), &["unused".to_owned(), tag.to_owned()])
    }

    #[test]
    fn tags_are_words_in_surrogate_key() {
        let fields = [("surrogate-key", "live ch-1  a,b"), ("surrogate-key", "more")];
        for tag in ["live", "ch-1", "a,b", "more"] {
            assert!(has(&fields, tag), "{tag}");
        }
        for tag in ["liv", "Live", "ch", "a", ""] {
            assert!(!has(&fields, tag), "{tag}");
        }
    }

    #[test]
    fn tags_are_members_of_cache_tag() {
        let fields = [("cache-tag", "live, my channel ,b")];
        assert!(["live", "my channel", "b"].iter().all(|tag| has(&fields, tag)));
        assert!(!has(&fields, "channel"));
    }

    #[test]
    fn tags_are_strings_in_cache_groups() {
        let fields = [("cache-groups", "\"live\", \"a \\\"b\\\"\";x=1, token")];
        assert!(has(&fields, "live") && has(&fields, "a \"b\""));
        assert!(!has(&fields, "token") && !has(&[("cache-groups", "live")], "live"));
        assert!(!has(&[("cache-groups", "\"live")], "live") && !has(&[], "live"));
    }
}
