//! Checks responses by curl before they are measured: status, length, bytes and header fields.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::load::{CIPHER, Load, Protocol};
use super::servers::{Kind, Server};
use super::stage::Stage;
use crate::shell;

/// The fields of every response of Tidegate; one from its cache has [`AGE`] as well.
const FIELDS: [&str; 4] = ["date", "cache-status", "via", "etag"];
const AGE: &str = "age";

/// A response.
#[derive(Debug)]
struct Response {
    status: u16,
    /// Names in lower case.
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Sends a request three times, so that the object is cached, and compares the last response with the
/// origin's.
pub(crate) fn check(stage: &Stage, server: &Server, load: &Load, is_cached: bool) -> Result<()> {
    let url = load.url(server.address(), server.tls());
    let mut response = get(&url, load.protocol)?;
    for _ in 0..2 {
        response = get(&url, load.protocol)?;
    }
    let from_origin = get(&format!("http://{}{}", stage.origin(), load.path), Protocol::Http)?;
    response.compare(&from_origin).with_context(|| format!("{}: {url}", server.kind()))?;
    if matches!(server.kind(), Kind::Tidegate | Kind::FromMemory) {
        response.check_cache_status(is_cached).with_context(|| url.clone())?;
    }
    if load.protocol == Protocol::Http { Ok(()) } else { cipher(server.tls()) }
}

impl Response {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    fn compare(&self, other: &Self) -> Result<()> {
        ensure!(
            self.status == 200 && other.status == 200,
            "status {}, the origin's {}",
            self.status,
            other.status
        );
        let length = self.body.len().to_string();
        ensure!(
            self.field("content-length") == Some(&length),
            "no length, or a wrong one: {:?}",
            self.fields
        );
        ensure!(self.body == other.body, "other bytes than the origin's");
        Ok(())
    }

    fn check_cache_status(&self, is_cached: bool) -> Result<()> {
        for name in FIELDS.into_iter().chain(is_cached.then_some(AGE)) {
            ensure!(self.field(name).is_some(), "no {name} in {:?}", self.fields);
        }
        let status = self.field("cache-status").unwrap_or_default();
        ensure!(status.contains("hit") == is_cached, "Cache-Status is {status}");
        Ok(())
    }
}

fn get(url: &str, protocol: Protocol) -> Result<Response> {
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--show-error",
        "--include",
        "--insecure",
        "--max-time",
        "20",
        "--noproxy",
        "*",
    ]);
    command.arg(if protocol == Protocol::Http2 { "--http2" } else { "--http1.1" }).arg(url);
    let output = command.output().with_context(|| shell::describe(&command))?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {complaints}", shell::describe(&command));
    parse(&output.stdout).with_context(|| format!("the response for {url}"))
}

fn parse(response: &[u8]) -> Result<Response> {
    let end = response.windows(4).position(|four| four == b"\r\n\r\n").context("no end of the head")?;
    let (head, body) = response.split_at(end + 4);
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).context("no status")?;
    let fields = lines.filter_map(|line| line.split_once(": "));
    let fields = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    Ok(Response { status, fields, body: body.to_vec() })
}

/// Checks that a server and OpenSSL, which the load uses, agree on the cipher of the comparison.
fn cipher(address: SocketAddr) -> Result<()> {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-brief", "-connect", &address.to_string()]).stdin(std::process::Stdio::null());
    let output = command.output().with_context(|| shell::describe(&command))?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(text.contains("TLSv1.3") && text.contains(CIPHER), "{address} speaks: {text}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(head: &str) -> Response {
        parse(format!("{head}\r\nContent-Length: 3\r\n\r\nabc").as_bytes()).unwrap()
    }

    #[test]
    fn a_response_with_other_bytes_or_another_status_is_an_error() {
        let right = response("HTTP/1.1 200 OK");
        assert!(right.compare(&response("HTTP/2 200")).is_ok());
        assert!(response("HTTP/1.1 206 Partial Content").compare(&right).is_err());
        let other = parse(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabd").unwrap();
        assert!(other.compare(&right).is_err());
        let short = parse(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab").unwrap();
        assert!(short.compare(&right).is_err());
    }

    #[test]
    fn a_hit_has_its_status_and_age() {
        let passed =
            "HTTP/1.1 200 OK\r\nDate: now\r\nCache-Status: edge; fwd=uri-miss\r\nVia: 1.1 a\r\nETag: \"1\"";
        assert!(response(passed).check_cache_status(false).is_ok());
        assert!(response(passed).check_cache_status(true).is_err());
        let hit = passed.replace("fwd=uri-miss", "hit");
        assert!(response(&hit).check_cache_status(true).is_err());
        assert!(response(&format!("{hit}\r\nAge: 1")).check_cache_status(true).is_ok());
        assert!(
            response(&format!("{hit}\r\nAge: 1").replace("ETag", "Tag")).check_cache_status(true).is_err()
        );
    }
}
