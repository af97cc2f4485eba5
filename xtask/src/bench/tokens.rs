//! The cost of a token: hits with 1,000 different tokens beside hits without.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::json;

use super::Settings;
use super::comparison::per;
use super::configuration::SECRET_FILE;
use super::findings::Findings;
use super::load::Load;
use super::objects::Object;
use super::servers::{Kind, Server};
use super::stage::{LOAD_CORE, Options, Stage};
use super::statistics::{Bound, Spread, Verdict, cell};
use crate::shell;

const TOKENS: usize = 1000;
const CONNECTIONS: u32 = 64;
const OBJECTS: [Object; 2] = [Object::Playlist, Object::Part];
/// The cost of a hit with a token, as a multiple of one without.
const RATIO_MAX: f64 = 1.15;
const SECRET: &str = "a secret of a measurement, of no use elsewhere";
/// Requests the paths in a file, one after the other.
const LISTED: &str = "local requests, n = {}, 0
function init(args)
  for path in io.lines(args[2]) do requests[#requests + 1] = wrk.format('GET', path) end
end
function request() n = n % #requests + 1; return requests[n] end
";

/// Where the requests have their tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    None,
    Path,
    Query,
}

/// One measurement.
#[derive(Debug, Clone, Serialize)]
struct Sample {
    object: &'static str,
    place: Place,
    round: u32,
    requests: u64,
    cpu_microseconds_per_request: f64,
}

/// One load: the requests for an object with the tokens in one place.
struct Case<'a> {
    object: Object,
    place: Place,
    server: &'a Server,
    load: Load,
}

impl Place {
    const ALL: [Self; 3] = [Self::None, Self::Path, Self::Query];

    const fn title(self) -> &'static str {
        match self {
            Self::None => "no token",
            Self::Path => "token in the path",
            Self::Query => "token in the query",
        }
    }

    fn target(self, path: &str, token: &str) -> String {
        match self {
            Self::None => path.to_owned(),
            Self::Path => format!("/~{token}{path}"),
            Self::Query => format!("{path}?token={token}"),
        }
    }
}

pub(crate) fn measure(stage: &Stage, settings: &Settings) -> Result<Findings> {
    let key = stage.file(SECRET_FILE, SECRET)?;
    let tokens = signed(stage, &key)?;
    let (open, gated) = (
        stage.start(Kind::Tidegate, Options::default())?,
        stage.start(Kind::WithTokens, Options::default())?,
    );
    let mut cases = Vec::new();
    for object in OBJECTS {
        for place in Place::ALL {
            let server = if place == Place::None { &open } else { &gated };
            cases.push(Case { object, place, server, load: load(stage, object, place, &tokens)? });
        }
    }
    for case in &cases {
        case.run(1)?;
    }
    let before = stage.origin_requests()?;
    let mut samples = Vec::new();
    for round in 1..=settings.rounds {
        for case in &cases {
            let sample = case.measure(round, settings.seconds)?;
            eprintln!("{sample:?}");
            samples.push(sample);
        }
    }
    let origin_requests = stage.origin_requests()? - before;
    ensure!(origin_requests == 0, "{origin_requests} origin requests: these were not all hits");
    Ok(Findings {
        about: ABOUT.to_owned(),
        tables: table(&samples),
        verdicts: verdicts(&samples)?,
        figures: json!(samples),
    })
}

/// Different tokens for the whole site.
fn signed(stage: &Stage, key: &Path) -> Result<Vec<String>> {
    let keys = key.display();
    let text = format!("[[site]]\norigins = [\"http://127.0.0.1:1\"]\n[site.token]\nkeys = [\"{keys}\"]\n");
    let file = stage.file("tokens.toml", &text)?;
    let sign = |number: usize| -> Result<String> {
        let mut command = Command::new(stage.tidegate());
        command.args(["token", "sign", "--path", "/", "--expires", "24h"]);
        command.args(["--id", &format!("viewer-{number}"), "--config"]).arg(&file);
        let output = command.output().with_context(|| shell::describe(&command))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let token = text.trim().strip_prefix("/~").and_then(|token| token.strip_suffix('/'));
        token.map(str::to_owned).with_context(|| format!("{}: {text}", shell::describe(&command)))
    };
    (0..TOKENS).map(sign).collect()
}

/// Requests with one token after the other. Without tokens the same script repeats one path.
fn load(stage: &Stage, object: Object, place: Place, tokens: &[String]) -> Result<Load> {
    let count = if place == Place::None { 1 } else { tokens.len() };
    let targets = tokens.iter().take(count).map(|token| place.target(object.path(), token) + "\n");
    let name = object.path().replace('/', "-");
    let list = stage.file(&format!("{place:?}{name}"), &targets.collect::<String>())?;
    let script: PathBuf = stage.file("listed.lua", LISTED)?;
    let script = Some((script, vec![list.display().to_string()]));
    Ok(Load { script, ..Load::of(object.path(), CONNECTIONS) })
}

impl Case<'_> {
    /// Runs the load, and returns the number of requests.
    fn run(&self, seconds: u32) -> Result<u64> {
        let url = self.load.url(self.server.address(), self.server.tls());
        Ok(self.load.run(&url, LOAD_CORE, seconds)?.requests)
    }

    fn measure(&self, round: u32, seconds: u32) -> Result<Sample> {
        let before = self.server.cpu()?;
        let requests = self.run(seconds)?;
        let cpu = self.server.cpu()?.saturating_sub(before).as_secs_f64();
        Ok(Sample {
            object: self.object.title(),
            place: self.place,
            round,
            requests,
            cpu_microseconds_per_request: cpu * 1e6 / per(requests),
        })
    }
}

fn of(samples: &[Sample], object: Object, place: Place) -> impl Iterator<Item = &Sample> {
    samples.iter().filter(move |sample| sample.object == object.title() && sample.place == place)
}

fn cost(samples: &[Sample], object: Object, place: Place) -> Option<Spread> {
    Spread::of(of(samples, object, place).map(|sample| sample.cpu_microseconds_per_request))
}

/// The cost with a token as a multiple of that without, round by round.
fn ratio(samples: &[Sample], object: Object, place: Place) -> Option<Spread> {
    let ratios = of(samples, object, place).filter_map(|with| {
        let without = of(samples, object, Place::None).find(|without| without.round == with.round)?;
        Some(with.cpu_microseconds_per_request / without.cpu_microseconds_per_request)
    });
    Spread::of(ratios)
}

fn verdicts(samples: &[Sample]) -> Result<Vec<Verdict>> {
    let pairs = OBJECTS.into_iter().flat_map(|object| [(object, Place::Path), (object, Place::Query)]);
    let verdict = |(object, place): (Object, Place)| {
        let what = format!(
            "{}, {}: CPU per request, as a multiple of that without a token",
            object.title(),
            place.title()
        );
        let measured = ratio(samples, object, place).context("a case that was not measured")?;
        Ok(Verdict { what, target: Bound::AtMost(RATIO_MAX), measured })
    };
    pairs.map(verdict).collect()
}

fn table(samples: &[Sample]) -> String {
    let mut lines = vec![
        "| object | token | µs of CPU per request | as a multiple of none |".to_owned(),
        "|---|---|---:|---:|".to_owned(),
    ];
    for object in OBJECTS {
        lines.extend(Place::ALL.map(|place| {
            let cost = cell(cost(samples, object, place), 2);
            let ratio = ratio(samples, object, place).filter(|_| place != Place::None);
            format!("| {} | {} | {cost} | {} |", object.title(), place.title(), cell(ratio, 2))
        }));
    }
    lines.join("\n") + "\n"
}

const ABOUT: &str = "\
## Tokens

Hits with 1,000 different tokens, one after the other, on a site that checks them, beside the same hits on a site without tokens.
HTTP/1.1, 64 keep-alive connections, all objects cached.
A token in the query is added to each of the 27 links of the playlist, so that the response is longer.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(place: Place, round: u32, cost: f64) -> Sample {
        let object = Object::Part.title();
        Sample { object, place, round, requests: 1, cpu_microseconds_per_request: cost }
    }

    #[test]
    fn a_ratio_is_that_of_one_round() {
        let samples = [
            sample(Place::None, 1, 10.0),
            sample(Place::Path, 1, 11.0),
            sample(Place::None, 2, 20.0),
            sample(Place::Path, 2, 26.0),
        ];
        let ratio = ratio(&samples, Object::Part, Place::Path).unwrap();
        assert!((ratio.min - 1.1).abs() < 1e-9 && (ratio.max - 1.3).abs() < 1e-9);
        assert!(verdicts(&samples).is_err(), "the playlist was not measured");
        assert!(table(&samples).contains("| 1 KiB segment | no token | 15.00 (10.00..20.00) | — |\n"));
    }

    #[test]
    fn a_target_has_the_token_in_its_place() {
        let targets = Place::ALL.map(|place| place.target("/a/b.ts", "t"));
        assert_eq!(targets, ["/a/b.ts", "/~t/a/b.ts", "/a/b.ts?token=t"]);
    }
}
