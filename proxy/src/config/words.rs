//! Errors of a configuration file for operators: the messages of TOML and serde are for programmers.

use toml::de::Error;

use super::renamed;

/// The error message, after the path of the key with the error.
pub(super) fn of(text: &str, error: &Error) -> String {
    let message = error.message();
    if let Some(renamed) = renamed(error) {
        return renamed;
    }
    if message.starts_with("unknown field") || message.starts_with("missing field") {
        return message.to_owned();
    }
    let key = path(error).or_else(|| key_at(text, error));
    let words = reworded(message, key.as_deref().unwrap_or_default(), written(text, error));
    match key {
        Some(key) => format!("{key}: {words}"),
        None => words,
    }
}

/// The error message for a field that was renamed.
fn renamed(error: &Error) -> Option<String> {
    let (old, _) = error.message().strip_prefix("unknown field `")?.split_once('`')?;
    let section = path(error)?;
    let new = renamed::new_name(&section, old)?;
    Some(format!("{section}.{old}: `{old}` is now `{new}`"))
}

/// The path of the key with the invalid value, as `site.origins`. The error has it only in its printed form,
/// and only if it cannot show the line.
fn path(error: &Error) -> Option<String> {
    let mut without_line = error.clone();
    without_line.set_input(None);
    let shown = without_line.to_string();
    let (_, path) = shown.trim_end().rsplit_once("\nin `")?;
    path.strip_suffix('`').map(str::to_owned)
}

/// The key on the line of an error that has no path, because the file is not TOML.
fn key_at(text: &str, error: &Error) -> Option<String> {
    let at = error.span()?.start;
    let start = text.get(..at)?.rfind('\n').map_or(0, |newline| newline + 1);
    let (key, _) = text.get(start..)?.lines().next()?.split_once('=')?;
    let key = key.trim();
    (!key.is_empty() && !key.starts_with('#')).then(|| key.to_owned())
}

/// The value as written in the file.
fn written<'a>(text: &'a str, error: &Error) -> &'a str {
    error.span().and_then(|span| text.get(span)).unwrap_or("this")
}

fn reworded(message: &str, key: &str, written: &str) -> String {
    match message {
        "invalid socket address syntax" => return format!("{written} is not {ADDRESS}"),
        "wanted string or table" => return format!("{written} is not {TEXT}"),
        _ => {}
    }
    if let Some((found, wanted)) =
        parts(message, "invalid type: ").or_else(|| parts(message, "invalid value: "))
    {
        return format!("{} is not {}", found_words(found), wanted_words(wanted, key));
    }
    if let Some((found, choices)) = parts(message, "unknown variant ") {
        let [found, choices] = [found, choices].map(|text| text.replace('`', "\""));
        return format!("{found} is not allowed; write {choices}");
    }
    message.to_owned()
}

/// The found and the expected value, in a message that begins with `start`.
fn parts<'a>(message: &'a str, start: &str) -> Option<(&'a str, &'a str)> {
    message.strip_prefix(start)?.split_once(", expected ")
}

/// The found value as in the file; serde has "integer `5`", "string \"x\"", "map" and the like.
fn found_words(found: &str) -> &str {
    match found {
        "map" => "a table",
        "sequence" => "a list",
        _ => found.strip_prefix("string ").or_else(|| found.split('`').nth(1)).unwrap_or(found),
    }
}

/// The expected value and how to write it. Tidegate's own types have such a text already.
fn wanted_words(wanted: &str, key: &str) -> String {
    match wanted {
        "a string" => TEXT.to_owned(),
        "a boolean" => "true or false".to_owned(),
        "socket address" => ADDRESS.to_owned(),
        "usize" | "u64" | "u32" | "u16" => "a whole number, 0 or more".to_owned(),
        "a sequence" if key == "site" => "a list of tables; write [[site]]".to_owned(),
        "a sequence" => "a list; write [\"...\", \"...\"]".to_owned(),
        _ if wanted.starts_with("struct ") => format!("a table; write [{key}]"),
        _ => wanted.to_owned(),
    }
}

const ADDRESS: &str = "an address; write IP:port, such as \"127.0.0.1:8080\"";
const TEXT: &str = "text; write it in quotes";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Cache, Drain, Listen, Upstream};
    use crate::site;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Sample {
        node: crate::config::NodeName,
        listen: Listen,
        cache: Cache,
        upstream: Upstream,
        drain: Drain,
        site: Vec<site::Config>,
    }

    impl Default for Sample {
        fn default() -> Self {
            Self {
                node: crate::config::NodeName::literal("edge-1"),
                listen: Listen::default(),
                cache: Cache::default(),
                upstream: Upstream::default(),
                drain: Drain::default(),
                site: Vec::new(),
            }
        }
    }

    fn reported(text: &str) -> String {
        of(text, &toml::from_str::<Sample>(text).unwrap_err())
    }

    #[test]
    fn an_invalid_value_is_reported_with_its_key_and_the_valid_form() {
        const SIZE: &str = "a size; write \"256MiB\": a whole number and B, KiB, MiB or GiB";
        const PERIOD: &str = "a duration; write \"2s\": a whole number and ms, s, m, h or d";
        const ADDRESS: &str = "an address; write IP:port, such as \"127.0.0.1:8080\"";
        const TEXT: &str = "text; write it in quotes";
        const NUMBER: &str = "a whole number, 0 or more";
        for (text, found, wanted) in [
            ("node = 5", "node: 5", TEXT),
            ("[listen]\nviewers = \"8080\"", "listen.viewers: \"8080\"", ADDRESS),
            ("[listen]\nviewers = \"localhost:80\"", "listen.viewers: \"localhost:80\"", ADDRESS),
            ("[listen]\noperators = 9080", "listen.operators: 9080", ADDRESS),
            ("listen = { viewers = \"\" }", "listen.viewers: \"\"", ADDRESS),
            ("[listen]\nconnections_max = \"many\"", "listen.connections_max: \"many\"", NUMBER),
            ("[listen]\nconnections_max = -1", "listen.connections_max: -1", NUMBER),
            ("[cache]\nmemory = 5", "cache.memory: 5", SIZE),
            ("[cache]\nmemory = [\n\"1MiB\",\n]", "cache.memory: a list", SIZE),
            ("cache = \"1MiB\"", "cache: \"1MiB\"", "a table; write [cache]"),
            ("[drain]\ntimeout = 2.5", "drain.timeout: 2.5", PERIOD),
            ("[upstream]\nhttp = 2", "upstream.http: 2", TEXT),
            ("[site]\nname = \"a\"", "site: a table", "a list of tables; write [[site]]"),
            ("[[site]]\ngzip = \"yes\"", "site.gzip: \"yes\"", "true or false"),
            ("[[site]]\nhosts = \"a\"", "site.hosts: \"a\"", "a list; write [\"...\", \"...\"]"),
            ("[[site]]\nhosts = [\n  \"a\",\n  5,\n]", "site.hosts: 5", TEXT),
        ] {
            assert_eq!(reported(text), format!("{found} is not {wanted}"));
        }
    }

    #[test]
    fn an_invalid_choice_field_or_syntax_is_reported_as_such() {
        for (text, words) in [
            ("[upstream]\nhttp = \"3\"", "upstream.http: \"3\" is not allowed; write \"1.1\" or \"2\""),
            ("[drain]\ntimeuot = \"2s\"", "unknown field `timeuot`, expected `timeout`"),
            ("[[site]]\nhosts = [", "hosts: unclosed array, expected `]`"),
        ] {
            assert_eq!(reported(text), words);
        }
    }
}
