//! Several servers under the same loads, in interleaved rounds: the cost of a request for each server.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::findings::Findings;
use super::load::{Counted, Load};
use super::servers::{Kind, Server};
use super::stage::{LOAD_CORE, Options, Stage};
use super::statistics::{Bound, Spread, Verdict};
use super::{Settings, answers};

mod tables;

/// A server in a comparison.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) title: String,
    pub(crate) kind: Kind,
    pub(crate) options: Options,
}

/// A load for all servers of a comparison.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) title: String,
    pub(crate) load: Load,
    /// Whether a repeated request is a hit.
    pub(crate) is_cached: bool,
    /// The bytes of one body.
    pub(crate) body: usize,
}

/// The plan of a comparison.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) subjects: Vec<Subject>,
    pub(crate) cases: Vec<Case>,
    /// The cores that the load may use.
    pub(crate) load_cores: &'static str,
}

/// One measurement of one server under one load.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Sample {
    pub(crate) subject: String,
    pub(crate) case: String,
    pub(crate) round: u32,
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
    pub(crate) requests_per_second: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) cpu_microseconds_per_request: f64,
}

/// The measurements of a comparison.
#[derive(Debug, Clone)]
pub(crate) struct Comparison {
    plan: Plan,
    pub(crate) samples: Vec<Sample>,
}

/// A target: how much cheaper the first subject must be than another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) case: &'static str,
    pub(crate) than: Kind,
    /// Requests per CPU-second of the first subject, as a multiple of the other's.
    pub(crate) at_least: f64,
}

impl Target {
    pub(crate) const fn new(case: &'static str, than: Kind, at_least: f64) -> Self {
        Self { case, than, at_least }
    }
}

impl Subject {
    /// A server with the default options.
    pub(crate) fn of(kind: Kind) -> Self {
        Self { title: kind.to_string(), kind, options: Options::default() }
    }
}

impl Plan {
    /// Servers of these kinds, with the load on its own core.
    pub(crate) fn of(kinds: &[Kind], cases: Vec<Case>) -> Self {
        Self { subjects: kinds.iter().copied().map(Subject::of).collect(), cases, load_cores: LOAD_CORE }
    }

    /// Starts the servers, checks their responses, warms up, and runs the rounds.
    pub(crate) fn run(self, stage: &Stage, settings: &Settings) -> Result<Comparison> {
        let servers = self.subjects.iter().map(|subject| stage.start(subject.kind, subject.options));
        let servers = servers.collect::<Result<Vec<_>>>()?;
        for (server, case) in self.pairs(&servers) {
            answers::check(stage, server, &case.load, case.is_cached)?;
            self.load(server, case, 1).with_context(|| server.kind().to_string())?;
        }
        let before = stage.origin_requests()?;
        let mut samples = Vec::new();
        for round in 1..=settings.rounds {
            for case in &self.cases {
                for (subject, server) in self.subjects.iter().zip(&servers) {
                    let measure = || self.measure(subject, server, case, round, settings.seconds);
                    let sample = with_retries(measure)?;
                    eprintln!("{sample}");
                    samples.push(sample);
                }
            }
        }
        let origin_requests = stage.origin_requests()? - before;
        ensure!(origin_requests == 0, "{origin_requests} origin requests: these were not all hits");
        Ok(Comparison { plan: self, samples })
    }

    fn pairs<'a>(&'a self, servers: &'a [Server]) -> impl Iterator<Item = (&'a Server, &'a Case)> {
        servers.iter().flat_map(|server| self.cases.iter().map(move |case| (server, case)))
    }

    fn load(&self, server: &Server, case: &Case, seconds: u32) -> Result<Counted> {
        case.load.run(&case.load.url(server.address(), server.tls()), self.load_cores, seconds)
    }

    fn measure(
        &self,
        subject: &Subject,
        server: &Server,
        case: &Case,
        round: u32,
        seconds: u32,
    ) -> Result<Sample> {
        let before = server.cpu()?;
        let counted = self.load(server, case, seconds).with_context(|| subject.title.clone())?;
        let cpu = server.cpu()?.saturating_sub(before).as_secs_f64();
        let Counted { requests, bytes, rate } = counted;
        ensure!(bytes > 0, "{}: no response", subject.title);
        Ok(Sample {
            subject: subject.title.clone(),
            case: case.title.clone(),
            round,
            requests,
            bytes,
            requests_per_second: rate,
            cpu_seconds: cpu,
            cpu_microseconds_per_request: cpu * 1e6 / responses_in(requests, bytes, case.body),
        })
    }
}

/// Repeats a failed measurement. One lost request in a million must not fail a section that takes an hour;
/// the failed measurement is discarded and reported.
fn with_retries(measure: impl Fn() -> Result<Sample>) -> Result<Sample> {
    let mut last = measure();
    for _ in 1..ATTEMPTS {
        let Err(error) = &last else { return last };
        eprintln!("discarded, measuring again: {error:#}");
        last = measure();
    }
    last
}

const ATTEMPTS: u32 = 3;

impl Comparison {
    /// The cost of a request for a subject, in microseconds of CPU.
    pub(crate) fn cost(&self, subject: &str, case: &str) -> Option<Spread> {
        Spread::of(self.of(subject, case).map(|sample| sample.cpu_microseconds_per_request))
    }

    /// Requests per CPU-second of one subject as a multiple of another's, round by round.
    pub(crate) fn ratio(&self, one: &str, other: &str, case: &str) -> Option<Spread> {
        let ratios = self.of(one, case).filter_map(|mine| {
            let theirs = self.of(other, case).find(|theirs| theirs.round == mine.round)?;
            Some(theirs.cpu_microseconds_per_request / mine.cpu_microseconds_per_request)
        });
        Spread::of(ratios)
    }

    /// The findings of a section.
    pub(crate) fn findings(&self, about: &str, how: &str, targets: &[Target]) -> Result<Findings> {
        Ok(Findings {
            about: about.to_owned(),
            tables: self.tables(),
            verdicts: self.verdicts(how, targets)?,
            figures: serde_json::to_value(&self.samples)?,
        })
    }

    /// Compares the first subject with the targets.
    fn verdicts(&self, how: &str, targets: &[Target]) -> Result<Vec<Verdict>> {
        let first = self.plan.subjects.first().context("a comparison without subjects")?;
        let verdict = |target: &Target| {
            let than = target.than.to_string();
            let measured =
                self.ratio(&first.title, &than, target.case).context("a case that was not measured")?;
            let what = format!(
                "{}, {how}: requests per CPU-second, as a multiple of {}",
                target.case,
                of(target.than)
            );
            Ok(Verdict { what, target: Bound::AtLeast(target.at_least), measured })
        };
        targets.iter().map(verdict).collect()
    }

    fn of(&self, subject: &str, case: &str) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| sample.subject == subject && sample.case == case)
    }
}

impl std::fmt::Display for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { round, subject, case, cpu_microseconds_per_request, requests_per_second, .. } = self;
        write!(
            f,
            "round {round}: {subject:<12} {case:<22} {cpu_microseconds_per_request:9.2} µs of CPU per request, \
             {requests_per_second:8.0} requests per second"
        )
    }
}

fn of(kind: Kind) -> String {
    match kind {
        Kind::Floor => "the bare loop's".to_owned(),
        Kind::FromMemory => "that of Tidegate without copies in files".to_owned(),
        Kind::Tidegate | Kind::WithTokens | Kind::Nginx | Kind::Varnish => format!("{kind}'s"),
    }
}

/// The cost of bodies from this size on depends on their bytes.
const LARGE: usize = 64 * 1024;

/// The number of responses sent. Many large bodies are incomplete when the time is over, so they are counted
/// by their bytes, compared with which heads are negligible.
fn responses_in(requests: u64, bytes: u64, body: usize) -> f64 {
    if body < LARGE { per(requests) } else { per(bytes) / per(body as u64) }
}

/// A count as a divisor, at least 1.
#[expect(clippy::cast_precision_loss, reason = "a run has far fewer than 2^52 requests")]
pub(crate) fn per(count: u64) -> f64 {
    count.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(subject: &str, round: u32, cost: f64) -> Sample {
        Sample {
            subject: subject.to_owned(),
            case: "case".to_owned(),
            round,
            requests: 1000,
            bytes: 2000,
            requests_per_second: 10.0,
            cpu_seconds: cost / 1000.0,
            cpu_microseconds_per_request: cost,
        }
    }

    fn comparison() -> Comparison {
        let load = Load::of("/", 1);
        let case = Case { title: "case".to_owned(), load, is_cached: true, body: 1 };
        let samples = [("tidegate", [10.0, 20.0, 40.0]), ("nginx", [20.0, 30.0, 40.0])];
        let samples = samples
            .iter()
            .flat_map(|(subject, costs)| (1..).zip(costs).map(|(round, cost)| sample(subject, round, *cost)));
        let samples = samples.collect();
        Comparison { plan: Plan::of(&[Kind::Tidegate, Kind::Nginx], vec![case]), samples }
    }

    #[test]
    fn incomplete_large_bodies_count_by_their_bytes() {
        assert!((responses_in(10, 20_000, 1000) - 10.0).abs() < f64::EPSILON);
        assert!((responses_in(10, 3 << 20, 1 << 18) - 12.0).abs() < f64::EPSILON);
    }

    #[test]
    fn ratios_are_computed_within_rounds() {
        let ratio = comparison().ratio("tidegate", "nginx", "case").unwrap();
        assert_eq!(ratio, Spread { median: 1.5, min: 1.0, max: 2.0 });
    }

    #[test]
    fn a_cheaper_first_subject_meets_its_target() {
        let target = |at_least| Target { case: "case", than: Kind::Nginx, at_least };
        let verdicts = comparison().verdicts("HTTP/1.1", &[target(1.5), target(1.6)]).unwrap();
        let met: Vec<_> = verdicts.iter().map(Verdict::met).collect();
        assert_eq!(met, [true, false]);
    }

    #[test]
    fn a_target_without_a_measurement_is_an_error() {
        let target = Target { case: "another", than: Kind::Nginx, at_least: 1.0 };
        assert!(comparison().verdicts("HTTP/1.1", &[target]).is_err());
    }

    #[test]
    fn the_tables_have_costs_and_ratios_with_their_spread() {
        let tables = comparison().tables();
        assert!(tables.contains("| nginx | 30.0 (20.0..40.0) |"), "{tables}");
        assert!(tables.contains("| nginx | 1.50 (1.00..2.00) |"), "{tables}");
    }
}
