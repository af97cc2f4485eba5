//! Keeps `conf/*.toml` complete: the file must show every field of the configuration.

use serde::Serialize;
use toml::Value;

/// Panics if `shown` lacks a field of `default`.
///
/// Fields without a default (`None`) are not checked, since TOML cannot represent them. The file names them
/// in comments.
///
/// # Panics
/// With the path of the missing field. It is for tests.
#[expect(clippy::panic, clippy::expect_used, reason = "it is an assertion for tests")]
pub fn assert_complete<T: Serialize>(shown: &str, default: &T) {
    let file: Value = toml::from_str(shown).expect("the shown configuration is TOML");
    let full = Value::try_from(default).expect("a configuration can be written as TOML");
    if let Some(missing) = missing("", &full, &file) {
        panic!("the shown configuration lacks {missing}");
    }
}

fn missing(path: &str, full: &Value, file: &Value) -> Option<String> {
    match (full, file) {
        (Value::Table(full), Value::Table(file)) => full.iter().find_map(|(key, value)| {
            let path = format!("{path}.{key}");
            match file.get(key) {
                Some(shown) => missing(&path, value, shown),
                None => Some(path),
            }
        }),
        (Value::Array(full), Value::Array(file)) => {
            full.iter().zip(file).find_map(|(value, shown)| missing(path, value, shown))
        }
        _ => None,
    }
}
