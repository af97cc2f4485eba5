//! Fields that had another name before 0.1.0, so that an old file gets an error with the new name.

/// The new name of the field `old` of `section`, if it was renamed.
pub(super) fn new_name(section: &str, old: &str) -> Option<&'static str> {
    RENAMED.iter().find(|(of, name, _)| (*of, *name) == (section, old)).map(|(_, _, new)| *new)
}

/// Section, old name, new name. The new name is relative to the section, or begins with its own in brackets.
const RENAMED: &[(&str, &str, &str)] = &[
    ("cache", "hit_for_miss", "hit_for_pass"),
    ("cache", "prefetch_bytes", "prefetch_bytes_max"),
    ("viewers", "wait_max", "wait_timeout"),
    ("upstream", "down_for", "health.ejection_time"),
    ("upstream", "hedge_after", "hedge_delay"),
    ("upstream", "retries_per_second", "retries_per_second_min"),
    ("upstream", "retry_share", "retry_ratio"),
    ("upstream", "stall_timeout", "between_bytes_timeout"),
    ("upstream", "tries_max", "attempts_max"),
    ("upstream.health", "excess", "error_rate_excess"),
    ("upstream.health", "failures", "consecutive_failures"),
    ("upstream.health", "out_for", "ejection_time"),
    ("upstream.health", "out_max", "ejection_time_max"),
    ("upstream.health", "out_share", "ejected_share_max"),
    ("upstream.health", "settle", "slow_start"),
    ("site.lifetimes", "grace", "stale_while_revalidate"),
    ("site.lifetimes", "ignore_set_cookie", "[site.sharing] ignore"),
    ("site.lifetimes", "keep", "stale_if_error"),
    ("site.lifetimes", "missing", "negative"),
    ("site.timeouts", "stall", "between_bytes"),
];

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use toml::Value;

    use super::*;
    use crate::config::check::read;
    use crate::config::{Cache, Upstream, Viewers};
    use crate::site;

    #[derive(Debug, Default, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Sample {
        cache: Cache,
        viewers: Viewers,
        upstream: Upstream,
        site: Vec<site::Config>,
    }

    /// The error for a file of this text.
    fn error(text: &str) -> String {
        read::<Sample>("edge.toml", text, |_| Ok(())).unwrap_err().to_string()
    }

    #[test]
    fn every_old_name_gets_an_error_with_the_new_one() {
        for (section, old, new) in RENAMED {
            let (header, line) = match section.strip_prefix("site.") {
                Some(_) => (format!("[[site]]\n[{section}]"), 3),
                None => (format!("[{section}]"), 2),
            };
            let expected = format!("edge.toml:{line}:1: {section}.{old}: `{old}` is now `{new}`");
            assert_eq!(error(&format!("{header}\n{old} = \"1s\"\n")), expected);
        }
    }

    #[test]
    fn every_new_name_is_a_field_of_its_section_and_no_old_name_is() {
        // `between_bytes` has no default, so it is set to appear in the file.
        let text = "[[site]]\ntimeouts = { between_bytes = \"1s\" }\n";
        let sample: Sample = read("edge.toml", text, |_| Ok(())).unwrap();
        let config = Value::try_from(&sample).unwrap();
        let field = |section: &str, name: &str| {
            section.split('.').chain(name.split('.')).try_fold(&config, |value, key| match value {
                Value::Array(tables) => tables[0].get(key),
                _ => value.get(key),
            })
        };
        for (section, old, new) in RENAMED {
            let elsewhere = new.strip_prefix('[').and_then(|new| new.split_once("] "));
            let (section, new) = elsewhere.unwrap_or((section, new));
            assert!(field(section, new).is_some(), "{section}.{new}");
            assert!(field(section, old).is_none(), "{section}.{old}");
        }
    }

    #[test]
    fn an_old_name_is_found_in_dotted_keys_and_inline_tables_and_nowhere_else() {
        for (text, expected) in [
            ("upstream.tries_max = 3", "1:10: upstream.tries_max: `tries_max` is now `attempts_max`"),
            (
                "[upstream]\nhealth = { failures = 3 }",
                "2:12: upstream.health.failures: `failures` is now `consecutive_failures`",
            ),
            (
                "[[site]]\nlifetimes = { keep = \"1m\" }",
                "2:15: site.lifetimes.keep: `keep` is now `stale_if_error`",
            ),
        ] {
            assert_eq!(error(text), format!("edge.toml:{expected}"));
        }
        assert!(error("[viewers]\ngrace = \"1s\"").contains("unknown field `grace`"));
        let query = "[[site]]\nquery = { keep = [\"id\"] }";
        assert!(read::<Sample>("edge.toml", query, |_| Ok(())).is_ok(), "`keep` is a field of [site.query]");
    }
}
