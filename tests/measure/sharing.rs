//! Measures what a live stream costs its origin when viewers cannot share it: `sharing [VIEWERS]
//! [SECONDS]`, a table in Markdown.
//!
//! For each mark of a private response, one origin sends it with playlists and segments of two seconds; other
//! origins redirect the playlist. Two
//! chains of an edge and a shield stand in front of it in turn: one with the default configuration, one with
//! the switch that shares the stream. Viewers watch as players do. The figures are origin requests per
//! version of the playlist and per segment. All chains run at the same time, each with an origin of its own.

use std::io::Write as _;
use std::time::Duration;

use tidegate_origin_stub::Fault;
use tidegate_proxy::site;
use tidegate_proxy::site::config::PrivateSign;
use tidegate_tests::{Swarm, edge, origin, shield};
use tokio::task::LocalSet;

const PLAYLIST: &str = "/live/one/ts/144p/index.m3u8";
const SEGMENT: Duration = Duration::from_secs(2);

/// A property of an origin, or of its viewers' URLs, that keeps viewers from sharing.
#[derive(Debug, Clone, Copy)]
struct Variant {
    name: &'static str,
    /// The header field that the origin adds.
    mark: Option<(&'static str, &'static str)>,
    /// Whether each viewer's URL has a token of its own.
    has_tokens: bool,
    /// The playlist that viewers request, and where the origin sends them from there.
    redirect: Option<(&'static str, &'static str)>,
    /// The switch, as an operator writes it, and its effect.
    switch: &'static str,
    share: fn(&mut site::Config),
}

const VARIANTS: [Variant; 8] = [
    Variant {
        name: "nothing",
        mark: None,
        has_tokens: false,
        redirect: None,
        switch: "none needed",
        share: |_| {},
    },
    Variant {
        name: "a token in each viewer's query",
        mark: None,
        has_tokens: true,
        redirect: None,
        switch: "`[site.query] drop = [\"token\"]`",
        share: |site| site.query.drop = vec!["token".to_owned()],
    },
    Variant {
        name: "`Cache-Control: no-store`",
        mark: Some(("cache-control", "no-store")),
        has_tokens: false,
        redirect: None,
        switch: "`[site.sharing] ignore = [\"no-store\"]`",
        share: |site| site.sharing.ignore = vec![PrivateSign::NoStore],
    },
    Variant {
        name: "`Cache-Control: private`",
        mark: Some(("cache-control", "private, max-age=0")),
        has_tokens: false,
        redirect: None,
        switch: "`[site.sharing] ignore = [\"private\"]`",
        share: |site| site.sharing.ignore = vec![PrivateSign::Private],
    },
    Variant {
        name: "`Set-Cookie`",
        mark: Some(("set-cookie", "session=1")),
        has_tokens: false,
        redirect: None,
        switch: "`[site.sharing] ignore = [\"set-cookie\"]`",
        share: |site| site.sharing.ignore = vec![PrivateSign::SetCookie],
    },
    Variant {
        name: "`Vary: *`",
        mark: Some(("vary", "*")),
        has_tokens: false,
        redirect: None,
        switch: "`[site.sharing] ignore = [\"vary\"]`",
        share: |site| site.sharing.ignore = vec![PrivateSign::Vary],
    },
    Variant {
        name: "a redirect of the playlist within its folder",
        mark: None,
        has_tokens: false,
        redirect: Some(("/live/one/ts/144p/current.m3u8", "index.m3u8?session=1")),
        switch: "none needed",
        share: |_| {},
    },
    Variant {
        name: "a redirect of the playlist to another folder",
        mark: None,
        has_tokens: false,
        redirect: Some(("/go/one.m3u8", PLAYLIST)),
        switch: "`rewrite_uris = true`",
        share: |site| site.rewrite_uris = true,
    },
];

#[tokio::main]
#[expect(clippy::expect_used, reason = "a measurement that goes wrong ends with its reason")]
async fn main() {
    let argument = |number| std::env::args().nth(number).map(|text| text.parse().expect("a number"));
    let viewers = argument(1).unwrap_or(10);
    let time = Duration::from_secs(argument(2).map_or(30, |seconds| seconds as u64));
    let chains = LocalSet::new();
    let measured = VARIANTS.map(|variant| {
        [false, true].map(|is_shared| chains.spawn_local(measure(variant, is_shared, viewers, time)))
    });
    chains.await;
    let mut stdout = std::io::stdout().lock();
    writeln!(
        stdout,
        "| the origin sends | per version | per segment | switch | per version | per segment |\n\
         |---|---:|---:|---|---:|---:|"
    )
    .expect("standard output");
    for (variant, [marked, shared]) in VARIANTS.iter().zip(measured) {
        let [versions, segments] = marked.await.expect("a chain that runs to its end");
        let [shared_versions, shared_segments] = shared.await.expect("a chain that runs to its end");
        writeln!(
            stdout,
            "| {} | {versions:.1} | {segments:.1} | {} | {shared_versions:.1} | {shared_segments:.1} |",
            variant.name, variant.switch
        )
        .expect("standard output");
    }
}

/// Origin requests per version of the playlist and per segment.
#[expect(clippy::expect_used, reason = "a measurement that goes wrong ends with its reason")]
async fn measure(variant: Variant, is_shared: bool, viewers: usize, time: Duration) -> [f64; 2] {
    let origin = origin().run().await;
    if let Some((name, value)) = variant.mark {
        origin.fault(Fault::on("/live/*").header(name, value)).expect("a fault");
    }
    let requested = variant.redirect.map_or(PLAYLIST, |(from, to)| {
        origin.fault(Fault::on(from).status(302).header("location", to)).expect("a fault");
        from
    });
    let share = if is_shared { variant.share } else { |_: &mut site::Config| {} };
    let shield = shield().origin(&origin).with(|config| config.site.iter_mut().for_each(share)).run().await;
    let edge = edge().shield(&shield).with(|config| config.site.iter_mut().for_each(share)).run().await;
    let path = |viewer| {
        let query = if variant.has_tokens { format!("?token={viewer}") } else { String::new() };
        format!("{requested}{query}")
    };
    let paths: Vec<String> = (0..viewers).map(path).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let swarm = Swarm::start(viewers, &[edge.addr()], &paths);
    swarm.wait_until_playing().await;
    let redirects = || if requested == PLAYLIST { 0 } else { origin.requests(requested) };
    let requests = || (origin.requests(PLAYLIST) + redirects(), origin.requests("/live/one/ts/144p/*.ts"));
    let before = requests();
    tokio::time::sleep(time).await;
    let after = requests();
    swarm.stop().await;
    let rounds = time.as_secs_f64() / SEGMENT.as_secs_f64();
    [after.0 - before.0, after.1 - before.1]
        .map(|count| f64::from(u32::try_from(count).expect("few")) / rounds)
}
