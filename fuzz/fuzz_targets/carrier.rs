//! Any bytes as a request target (first line) and `Cookie` fields (other lines), after a byte of switches:
//! the token is the one that a naive reading finds, and no carrier of it stays.
#![no_main]

use std::borrow::Cow;

use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;
use tidegate_access::token::{Carrier, Carriers};

fuzz_target!(|bytes: &[u8]| {
    let Some((switches, lines)) = bytes.split_first() else { return };
    let mut lines = lines.split(|byte| *byte == b'\n');
    let Some(Ok(target)) = lines.next().map(std::str::from_utf8) else { return };
    let cookies: Vec<&[u8]> = lines.collect();
    let all = [Carrier::Path, Carrier::Query, Carrier::Cookie];
    let accepted = all.into_iter().enumerate().filter(|(bit, _)| switches & (1 << bit) != 0);
    let carriers = Carriers {
        accepted: accepted.map(|(_, carrier)| carrier).collect(),
        parameter: "token".to_owned(),
        cookie: "t".to_owned(),
    };
    let carried = carriers.take(target, cookies.iter().copied());
    let (path, query) = split(target);
    let (token_in_path, path) = in_path(path).filter(|_| carriers.accept(Carrier::Path)).unzip();
    let path = path.unwrap_or_else(|| split(target).0);
    let (token_in_query, query) = in_query(query);
    assert_eq!(carried.target, query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}")));
    let token_in_query = token_in_query.filter(|_| carriers.accept(Carrier::Query));
    match &carried.token {
        Some((Carrier::Path, token)) => assert_eq!(Some(&**token), token_in_path.as_deref()),
        Some((Carrier::Query, token)) => {
            assert!(token_in_path.is_none());
            assert_eq!(Some(&**token), token_in_query.as_deref());
        }
        Some((Carrier::Cookie, token)) => {
            assert!(token_in_path.is_none() && token_in_query.is_none());
            assert!(carriers.accept(Carrier::Cookie) && cookies.iter().any(|field| has(field, token)));
        }
        None => assert!(token_in_path.is_none() && token_in_query.is_none()),
    }
    let again = carriers.take(&carried.target, std::iter::empty());
    assert!(!matches!(again.token, Some((Carrier::Query, _))));
    for field in cookies.iter().filter_map(|field| std::str::from_utf8(field).ok()) {
        if let Some(rest) = carriers.without_cookie(field) {
            assert_eq!(carriers.without_cookie(&rest).as_ref(), Some(&rest));
            let only_cookies = Carriers { accepted: vec![Carrier::Cookie], ..carriers.clone() };
            assert_eq!(only_cookies.take("/", std::iter::once(rest.as_bytes())).token, None);
        }
    }
});

fn split(target: &str) -> (&str, Option<&str>) {
    target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)))
}

/// The token in a path, and the path without it.
fn in_path(path: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut components = path.splitn(3, '/');
    let (_, first) = (components.next().filter(|before| before.is_empty())?, components.next()?);
    let token = ["~", "%7E", "%7e"].iter().find_map(|start| first.strip_prefix(start))?;
    let rest = path.get(1 + first.len()..).filter(|rest| !rest.is_empty());
    Some((percent_decode_str(token).decode_utf8_lossy(), rest.unwrap_or("/")))
}

/// The first value of the parameter in a query, and the query without it.
fn in_query(query: Option<&str>) -> (Option<Cow<'_, str>>, Option<String>) {
    let Some(query) = query else { return (None, None) };
    let name = |parameter: &str| {
        let name = parameter.split('=').next().unwrap_or_default();
        percent_decode_str(name).decode_utf8_lossy().into_owned()
    };
    let all: Vec<&str> = query.split('&').collect();
    let token = all.iter().find(|parameter| name(parameter) == "token").map(|parameter| {
        let value = parameter.split_once('=').map_or("", |(_, value)| value);
        percent_decode_str(value).decode_utf8_lossy()
    });
    let rest: Vec<&str> = all.into_iter().filter(|parameter| name(parameter) != "token").collect();
    (token, (!rest.is_empty()).then(|| rest.join("&")))
}

/// Whether a `Cookie` field has the token.
fn has(field: &[u8], token: &str) -> bool {
    let text = String::from_utf8_lossy(field);
    let values = text.split(';').filter_map(|crumb| crumb.trim().strip_prefix("t="));
    values.map(|value| value.trim_matches('"')).any(|value| value == token)
}
