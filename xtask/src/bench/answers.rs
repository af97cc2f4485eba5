//! Whether what is going to be measured is right: status, length, bytes and header fields, looked at once by curl.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::load::{CIPHER, Load, Protocol};
use super::servers::{Kind, Server};
use super::stage::Stage;
use crate::shell;

/// What every answer of Tidegate's has; what comes from its cache has [`AGE`] as well.
const FIELDS: [&str; 4] = ["date", "cache-status", "via", "etag"];
const AGE: &str = "age";

/// An answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    /// Names in small letters.
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Asks a server three times, so that it has what it caches, and holds the last answer against the origin's.
pub(crate) fn check(stage: &Stage, server: &Server, load: &Load, is_cached: bool) -> Result<()> {
    let url = load.url(server.address(), server.tls());
    let mut answer = ask(&url, load.protocol)?;
    for _ in 0..2 {
        answer = ask(&url, load.protocol)?;
    }
    let from_origin = ask(&format!("http://{}{}", stage.origin(), load.path), Protocol::Http)?;
    answer.is_like(&from_origin).with_context(|| format!("{} answers {url}", server.kind()))?;
    if matches!(server.kind(), Kind::Tidegate | Kind::FromMemory) {
        answer.says_where_it_comes_from(is_cached).with_context(|| url.clone())?;
    }
    if load.protocol == Protocol::Http { Ok(()) } else { cipher(server.tls()) }
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    fn is_like(&self, other: &Self) -> Result<()> {
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

    fn says_where_it_comes_from(&self, is_cached: bool) -> Result<()> {
        for name in FIELDS.into_iter().chain(is_cached.then_some(AGE)) {
            ensure!(self.field(name).is_some(), "no {name} in {:?}", self.fields);
        }
        let status = self.field("cache-status").unwrap_or_default();
        ensure!(status.contains("hit") == is_cached, "Cache-Status is {status}");
        Ok(())
    }
}

fn ask(url: &str, protocol: Protocol) -> Result<Answer> {
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
    parse(&output.stdout).with_context(|| format!("what {url} is answered with"))
}

fn parse(answer: &[u8]) -> Result<Answer> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").context("no end of the head")?;
    let (head, body) = answer.split_at(end + 4);
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).context("no status")?;
    let fields = lines.filter_map(|line| line.split_once(": "));
    let fields = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    Ok(Answer { status, fields, body: body.to_vec() })
}

/// Makes sure that a server and OpenSSL, with which the load is made, agree on what all are compared with.
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

    fn answer(head: &str) -> Answer {
        parse(format!("{head}\r\nContent-Length: 3\r\n\r\nabc").as_bytes()).unwrap()
    }

    #[test]
    fn an_answer_with_other_bytes_or_another_status_is_not_right() {
        let right = answer("HTTP/1.1 200 OK");
        assert!(right.is_like(&answer("HTTP/2 200")).is_ok());
        assert!(answer("HTTP/1.1 206 Partial Content").is_like(&right).is_err());
        let other = parse(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabd").unwrap();
        assert!(other.is_like(&right).is_err());
        let short = parse(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab").unwrap();
        assert!(short.is_like(&right).is_err());
    }

    #[test]
    fn a_hit_says_so_and_tells_its_age() {
        let passed =
            "HTTP/1.1 200 OK\r\nDate: now\r\nCache-Status: edge; fwd=uri-miss\r\nVia: 1.1 a\r\nETag: \"1\"";
        assert!(answer(passed).says_where_it_comes_from(false).is_ok());
        assert!(answer(passed).says_where_it_comes_from(true).is_err());
        let hit = passed.replace("fwd=uri-miss", "hit");
        assert!(answer(&hit).says_where_it_comes_from(true).is_err());
        assert!(answer(&format!("{hit}\r\nAge: 1")).says_where_it_comes_from(true).is_ok());
        assert!(
            answer(&format!("{hit}\r\nAge: 1").replace("ETag", "Tag"))
                .says_where_it_comes_from(true)
                .is_err()
        );
    }
}
