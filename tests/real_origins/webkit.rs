//! `WebKit`'s own player, whose HLS is `GStreamer`'s. No script of a page helps it, and it does not pass the
//! query of a playlist's URL on to segments.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::process::until;
use crate::scenarios::ONE_AT_A_TIME;
use crate::stub::Stub;
use crate::tiers::Tiers;
use crate::tokens::{key_in, token};

const PERIOD: Duration = Duration::from_secs(10);
/// Beyond the playing time: browser and first pictures.
const START_WITHIN: Duration = Duration::from_secs(90);
const LOGGED_WITHIN: Duration = Duration::from_secs(10);

/// Plays the streams beside each other, as `tests/players/webkit.mjs` does. The page sets the cookie; the
/// `refused` streams must not play.
async fn play(streams: &[String], refused: &[String], cookie: &str) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("players/webkit.mjs");
    let mut command = Command::new("node");
    command.arg(script).args(["--cookie", cookie, "--seconds", &PERIOD.as_secs().to_string()]);
    command.args(streams.iter().flat_map(|url| ["--play", url]));
    command.args(refused.iter().flat_map(|url| ["--refused", url]));
    let output = tokio::time::timeout(PERIOD + START_WITHIN, command.kill_on_drop(true).output());
    output.await.expect("WebKit ends in time").expect("node runs")
}

/// A line of the access log: the path without its token, the status, and the player.
#[derive(Debug)]
struct Line {
    path: String,
    status: u64,
    user_agent: String,
}

fn lines(log: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let complete = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let lines = complete.map(|line| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let text = |pointer: &str| line.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let path = text("/url/path");
        let path = path.find("/live/").map_or(path, |start| &path[start..]);
        Line {
            path: path.to_owned(),
            status: line["http"]["response"]["status_code"].as_u64().expect("a status"),
            user_agent: text("/user_agent/original").to_owned(),
        }
    });
    lines.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn webkit_plays_public_and_private_streams_by_each_carrier() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (key, log) = (key_in(folder.path()), folder.path().join("access.log"));
    let origin = Stub::start().await;
    let setting = format!(
        "[site.token]\nkeys = [{key:?}]\n[[site]]\nname = \"public\"\npaths = [\"/live/public/\"]\n\
         [log]\naccess = {log:?}\n"
    );
    let tiers = Tiers::with(&[&origin.http], &setting).await;
    let [one, other] = [0, 1].map(|edge| tiers.urls("")[edge].clone());
    let (good, wrong) = (token("/live"), token("/live/path"));
    let played = [
        format!("{one}/live/public/ts/index.m3u8"),
        format!("{other}/~{good}/live/path/ts/index.m3u8"),
        format!("{one}/live/query/ts/index.m3u8?token={good}"),
        format!("{other}/live/cookie/ts/index.m3u8"),
    ];
    let refused = [format!("{one}/~{wrong}/live/refused/ts/index.m3u8")];
    // The cookie reaches one stream alone: the others prove that their links have the token.
    let output = play(&played, &refused, &format!("token={good}; Path=/live/cookie/")).await;
    let (report, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "WebKit: {report}\n{errors}\n{:#?}", lines(&log));

    let of = |name: &str| {
        let folder = format!("/live/{name}/");
        lines(&log).into_iter().filter(|line| line.path.starts_with(&folder)).collect::<Vec<_>>()
    };
    for name in ["public", "path", "query", "cookie"] {
        until("five segments are logged", LOGGED_WITHIN, async || {
            (of(name).iter().filter(|line| line.path.contains(".ts")).count() >= 5).then_some(())
        })
        .await;
        for line in of(name) {
            assert!(line.status < 400 && is_webkits(&line.user_agent), "{line:?}");
        }
    }
    let refusals = of("refused");
    assert!(!refusals.is_empty() && refusals.iter().all(|line| line.status == 403), "{refusals:?}");
    for (target, _count) in origin.targets() {
        assert!(!target.contains(&good) && !target.contains("token"), "{target}");
    }
}

fn is_webkits(user_agent: &str) -> bool {
    !user_agent.contains("Chrom") && (user_agent.contains("AppleWebKit") || user_agent.contains("GStreamer"))
}
