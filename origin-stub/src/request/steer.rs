//! How the query of `/bytes/...` controls the response.

use std::num::NonZeroU64;

use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::{HeaderName, HeaderValue, Request, StatusCode};
use percent_encoding::percent_decode_str;

use crate::answer::{Answer, Refusal};
use crate::faults::effects::Effects;
use crate::objects::SyntheticObject;
use crate::shared::Shared;

/// Responds with a synthetic object: `cc=` Cache-Control (empty: none) · `type=` Content-Type · `etag=` the
/// `ETag` without quotes (empty: none) · `lm=0` no Last-Modified · `chunked=1` no Content-Length ·
/// `private=1` a different body for each request · `cookie=1` the same with a Set-Cookie · `status=` another
/// status · `bps=` bytes per second · `header=Name:Value` any header, also several times. Values are
/// percent-encoded; unknown parameters are ignored.
pub(super) fn answer<B>(
    shared: &Shared,
    object: SyntheticObject,
    request: &Request<B>,
    effects: &mut Effects,
) -> Result<Answer, Refusal> {
    let wishes = Wishes::parse(request.uri().query().unwrap_or_default())?;
    let unique = (wishes.private || wishes.cookie).then(|| shared.unique());
    let mut object = object.object(&shared.config, unique.unwrap_or(effects.variant));
    if unique.is_some() {
        object.etag = None;
        object.last_modified = None;
    }
    if wishes.private {
        "private".clone_into(&mut object.cache_control);
    }
    if let Some(etag) = wishes.etag {
        object.etag = Some(etag).filter(|etag| !etag.is_empty()).map(|etag| format!("\"{etag}\""));
    }
    object.last_modified = object.last_modified.filter(|_| !wishes.undated);
    object.content_type = wishes.content_type.unwrap_or(object.content_type);
    object.cache_control = wishes.cache_control.unwrap_or(object.cache_control);
    let without_cache_control = object.cache_control.is_empty();
    effects.chunked |= wishes.chunked;
    effects.bytes_per_second = effects.bytes_per_second.or(wishes.bytes_per_second);

    let mut answer = object.answer(request.method(), request.headers());
    if let Some(status) = wishes.status {
        answer.status = status;
    }
    if without_cache_control {
        answer.headers.remove(CACHE_CONTROL);
    }
    for (name, value) in wishes.headers {
        answer.headers.append(name, value);
    }
    match unique {
        Some(number) if wishes.cookie => Ok(answer.with(SET_COOKIE, &format!("visit={number}; Path=/"))),
        _ => Ok(answer),
    }
}

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a parameter of its own in the query")]
struct Wishes {
    cache_control: Option<String>,
    content_type: Option<String>,
    etag: Option<String>,
    undated: bool,
    chunked: bool,
    private: bool,
    cookie: bool,
    status: Option<StatusCode>,
    bytes_per_second: Option<NonZeroU64>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Wishes {
    fn parse(query: &str) -> Result<Self, Refusal> {
        let mut wishes = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
            if wishes.add(name, value).is_none() {
                let line = format!("the query says {pair:?}, which cannot be");
                return Err(Refusal::new(StatusCode::BAD_REQUEST, line));
            }
        }
        Ok(wishes)
    }

    /// `None` if the value is invalid.
    fn add(&mut self, name: &str, value: String) -> Option<()> {
        match name {
            "cc" => self.cache_control = Some(value),
            "type" => self.content_type = Some(value),
            "etag" => self.etag = Some(value),
            "lm" => self.undated = value == "0",
            "chunked" => self.chunked = value == "1",
            "private" => self.private = value == "1",
            "cookie" => self.cookie = value == "1",
            "status" => {
                let status = value.parse().ok().filter(|status| (200..=599).contains(status))?;
                self.status = StatusCode::from_u16(status).ok();
            }
            "bps" => self.bytes_per_second = Some(value.parse().ok()?),
            "header" => {
                let (name, value) = value.split_once(':')?;
                self.headers.push((name.parse().ok()?, value.trim().parse().ok()?));
            }
            _ => {}
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn ask(query: &str) -> Answer {
        let shared = Shared::new(Config::default());
        let object = SyntheticObject::parse("/bytes/10", "10", &shared.config).unwrap();
        let request = Request::get(format!("/bytes/10?{query}")).body(()).unwrap();
        answer(&shared, object, &request, &mut Effects::default()).unwrap_or_else(Answer::from)
    }

    fn header(answer: &Answer, name: &str) -> String {
        answer.headers.get(name).map_or(String::new(), |value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_synthetic_object_may_be_cached_for_a_minute() {
        let answer = ask("");
        assert_eq!(header(&answer, "cache-control"), "max-age=60");
        assert_eq!(header(&answer, "content-type"), "application/octet-stream");
        assert!(header(&answer, "etag").starts_with('"'));
    }

    #[test]
    fn the_query_steers_the_headers() {
        let answer =
            ask("cc=s-maxage%3D5&type=text/x&etag=v1&header=Vary:Accept&header=Surrogate-Control:x&lm=0");
        assert_eq!(header(&answer, "cache-control"), "s-maxage=5");
        assert_eq!(header(&answer, "content-type"), "text/x");
        assert_eq!(header(&answer, "etag"), "\"v1\"");
        assert_eq!(header(&answer, "vary"), "Accept");
        assert_eq!(header(&answer, "surrogate-control"), "x");
        assert_eq!(header(&answer, "last-modified"), "");
        assert_eq!(header(&ask("cc=&etag="), "cache-control"), "");
        assert_eq!(ask("status=503").status, 503);
        assert_eq!(ask("status=99").status, 400);
    }

    #[test]
    fn a_private_object_says_so_and_a_cookie_does_not() {
        let private = ask("private=1");
        assert_eq!(
            (header(&private, "cache-control"), header(&private, "etag")),
            ("private".into(), String::new())
        );
        let cookie = ask("cookie=1");
        assert_eq!(header(&cookie, "cache-control"), "max-age=60");
        assert!(header(&cookie, "set-cookie").starts_with("visit="));
    }
}
