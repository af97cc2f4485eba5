use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use http::{Method, StatusCode, Version};
use serde_json::{Value, json};
use tidegate_headers::cmcd::Cmcd;

use super::*;
use crate::fate::Fate;

const METHOD: Method = Method::GET;

fn entry<'a>() -> Entry<'a> {
    Entry {
        time: UNIX_EPOCH + Duration::from_millis(1_795_255_200_123),
        duration: Duration::from_micros(1500),
        first_byte: None,
        method: Some(&METHOD),
        version: Some(Version::HTTP_11),
        host: None,
        path: Some("/live/\"1\".m3u8"),
        query: None,
        status: Some(StatusCode::OK),
        body_bytes: 512,
        client: None,
        user_agent: None,
        referrer: None,
        request_id: None,
        trace_id: None,
        tier: "edge",
        node: "edge-1",
        site: None,
        kind: tidegate_hls::Kind::Playlist,
        fate: Fate::Join,
        upstream: None,
        cache_age: None,
        error: None,
        reason: None,
        broken: false,
        cmcd: None,
        cmcd_reports: &[],
    }
}

fn parsed(entry: &Entry<'_>, redact: &[&str]) -> Value {
    let names: Vec<_> = redact.iter().map(|name| (*name).to_owned()).collect();
    let line = entry.line(&Redaction::new(&names)).unwrap();
    assert_eq!(line.iter().position(|&byte| byte == b'\n'), Some(line.len() - 1));
    serde_json::from_slice(&line).unwrap()
}

fn dropped() -> IntCounter {
    IntCounter::new("dropped", "dropped").unwrap()
}

fn log_file() -> PathBuf {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("tidegate-access-{}-{number}.log", std::process::id()))
}

fn read_and_remove(path: &PathBuf) -> String {
    let mut text = String::new();
    File::open(path).unwrap().read_to_string(&mut text).unwrap();
    std::fs::remove_file(path).unwrap();
    text
}

#[test]
fn a_line_has_the_ecs_fields_and_omits_unknown_ones() {
    let expected = json!({
        "@timestamp": "2026-11-21T10:00:00.123Z",
        "log.level": "info",
        "ecs": { "version": "9.3.0" },
        "event": { "dataset": "tidegate.access", "duration": 1_500_000 },
        "http": {
            "version": "1.1",
            "request": { "method": "GET" },
            "response": { "status_code": 200, "body": { "bytes": 512 } },
        },
        "url": { "path": "/live/\"1\".m3u8" },
        "service": { "name": "tidegate", "version": env!("CARGO_PKG_VERSION"), "node": { "name": "edge-1" } },
        "tidegate": { "tier": "edge", "node": "edge-1", "kind": "playlist", "fate": "join", "collapsed": true },
    });
    assert_eq!(parsed(&entry(), &[]), expected);
}

#[test]
fn known_fields_are_logged_and_tokens_are_not() {
    let cmcd = Cmcd::from_query("br%3D3200%2Cbs").unwrap();
    let full = Entry {
        first_byte: Some(Duration::from_micros(900)),
        host: Some("live.example"),
        query: Some("token=secret&_HLS_msn=7"),
        client: Some(LoggedAddress::Ip("192.0.2.7".parse().unwrap())),
        user_agent: Some("player/1\n"),
        referrer: Some("https://page.example/?token=secret"),
        request_id: Some("r-1"),
        trace_id: Some("0af7651916cd43dd8448eb211c80319c"),
        site: Some("tv"),
        upstream: Some("shield-1"),
        cache_age: Some(Duration::from_millis(250)),
        error: Some(tidegate_headers::proxy_status::Error::ConnectionTimeout),
        broken: true,
        cmcd: Some(&cmcd),
        ..entry()
    };
    let line = parsed(&full, &["token"]);
    assert_eq!(line["url"]["query"], "token=REDACTED&_HLS_msn=7");
    assert_eq!(line["http"]["request"]["referrer"], "https://page.example/?token=REDACTED");
    assert_eq!(line["client"]["ip"], "192.0.2.7");
    assert_eq!(line["cmcd"], json!({ "br": 3200, "bs": true }));
    assert_eq!(line["tidegate"]["cache_age"], 0.25);
    assert_eq!(line["tidegate"]["error"], "connection_timeout");
    assert_eq!(line["tidegate"]["broken"], true);
    assert!(!line.to_string().contains("secret"));
}

#[test]
fn every_queued_line_is_written_before_the_end() {
    let path = log_file();
    let config = Config { output: Output::File(path.clone()), queue_lines: 10_000, ..Config::default() };
    let dropped = dropped();
    let (log, writer) = AccessLog::start(&config, dropped.clone()).unwrap();
    for body_bytes in 0..1000 {
        log.record(&Entry { body_bytes, ..entry() });
    }
    writer.finish();
    let text = read_and_remove(&path);
    let sizes: Vec<u64> = text
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["http"]["response"]["body"]["bytes"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(sizes, (0..1000).collect::<Vec<_>>());
    assert_eq!(dropped.get(), 0);
}

#[test]
fn lines_for_a_full_queue_are_dropped_and_counted() {
    let (queue, lines) = mpsc::sync_channel(2);
    let dropped = dropped();
    let log = AccessLog {
        queue: Some(queue),
        dropped: dropped.clone(),
        redaction: Arc::default(),
        addresses: Arc::default(),
    };
    for _ in 0..5 {
        log.record(&entry());
    }
    assert_eq!(lines.try_iter().count(), 2);
    assert_eq!(dropped.get(), 3);
    drop(lines);
    log.record(&entry());
    assert_eq!(dropped.get(), 4);
}

#[test]
fn a_disabled_log_writes_nothing_and_a_bad_path_is_an_error() {
    let off = Config { output: Output::Off, ..Config::default() };
    let (log, writer) = AccessLog::start(&off, dropped()).unwrap();
    assert!(!log.is_on());
    log.record(&entry());
    writer.finish();
    let nowhere = Config { output: Output::File("/nonexistent/dir/access.log".into()), ..Config::default() };
    assert_eq!(AccessLog::start(&nowhere, dropped()).unwrap_err().kind(), io::ErrorKind::NotFound);
}
