//! The fields in which two configurations differ.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

/// The paths of the fields that differ, as `cache.memory`. Tables with a `name`, such as sites, are compared
/// by name: `site.live.origins`, or `site.live` if only one side has it. Paths do not contain values, which
/// may be secrets.
pub(super) fn differences<T: Serialize>(old: &T, new: &T) -> Vec<String> {
    let value = |config: &T| serde_json::to_value(config).unwrap_or_default();
    let mut found = Vec::new();
    compare("", &value(old), &value(new), &mut found);
    found
}

fn compare(path: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    if old == new {
        return;
    }
    let (Some(old), Some(new)) = (fields(old), fields(new)) else {
        return found.push(path.to_owned());
    };
    let names: BTreeSet<&str> = old.iter().chain(&new).map(|(name, _)| *name).collect();
    for name in names {
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match (value_of(&old, name), value_of(&new, name)) {
            (Some(old), Some(new)) => compare(&path, old, new, found),
            _ => found.push(path),
        }
    }
}

fn value_of<'a>(fields: &[(&str, &'a Value)], name: &str) -> Option<&'a Value> {
    fields.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
}

/// The fields of a table, or the tables of a list by their names; `None` for other values.
fn fields(value: &Value) -> Option<Vec<(&str, &Value)>> {
    match value {
        Value::Object(fields) => Some(fields.iter().map(|(name, value)| (name.as_str(), value)).collect()),
        Value::Array(tables) if !tables.is_empty() => {
            tables.iter().map(|table| Some((table.get("name")?.as_str()?, table))).collect()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_are_named_by_their_paths_and_sites_by_their_names() {
        let old = json!({
            "node": "a",
            "cache": { "memory": "1MiB", "object_max": "1MiB" },
            "shields": ["http://a"],
            "tls": null,
            "site": [{ "name": "one", "gzip": true, "token": { "keys": ["/k"] } }, { "name": "two" }],
        });
        let mut new = old.clone();
        assert_eq!(differences(&old, &new), Vec::<String>::new());
        new["cache"]["memory"] = json!("2MiB");
        new["shields"] = json!(["http://a", "http://b"]);
        new["tls"] = json!({ "address": "[::]:443" });
        new["site"] = json!([
            { "name": "three" },
            { "name": "one", "gzip": true, "token": { "keys": ["/k", "/l"] } },
        ]);
        let expected = ["cache.memory", "shields", "site.one.token.keys", "site.three", "site.two", "tls"];
        assert_eq!(differences(&old, &new), expected);
    }
}
