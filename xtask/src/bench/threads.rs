//! Two threads compared with one.

use anyhow::{Context, Result};

use super::Settings;
use super::comparison::{Comparison, Plan, Subject};
use super::findings::Findings;
use super::hits;
use super::load::Protocol;
use super::objects::Object;
use super::servers::Kind;
use super::stage::{Options, Stage};
use super::statistics::{Bound, Spread, Verdict, cell};

const LEAST: f64 = 1.8;
const CASES: [Object; 2] = [Object::Playlist, Object::Small];

/// Tidegate and nginx, with one thread (or process) and with two, all on the same two cores.
pub(crate) fn measure(stage: &Stage, settings: &Settings) -> Result<Findings> {
    let cores =
        if std::thread::available_parallelism()?.get() >= 4 { ("0,1", "2,3") } else { ("0,1", "0,1") };
    let (server_cores, load_cores) = cores;
    let subjects = [Kind::Tidegate, Kind::Nginx].into_iter().flat_map(|kind| {
        [1, 2].map(|threads| {
            let options = Options { threads, cores: server_cores, ..Options::default() };
            Subject { title: title(kind, threads), kind, options }
        })
    });
    let cases = CASES.map(|object| hits::case(object, Protocol::Http));
    let plan = Plan { subjects: subjects.collect(), cases: cases.to_vec(), load_cores };
    let compared = plan.run(stage, settings)?;
    let mut findings = compared.findings(ABOUT, "", &[])?;
    findings.tables = format!("{}\n{}", compared.costs(), speedups(&compared));
    for object in CASES {
        let measured = speedup(&compared, Kind::Tidegate, object).context("no speed-up")?;
        let what = format!("{}: work of two threads, as a multiple of one thread's", object.title());
        findings.verdicts.push(Verdict { what, target: Bound::AtLeast(LEAST), measured });
    }
    Ok(findings)
}

fn title(kind: Kind, threads: usize) -> String {
    format!("{kind} × {threads}")
}

/// The work of two threads as a multiple of one thread's, for the same CPU time each.
fn speedup(compared: &Comparison, kind: Kind, object: Object) -> Option<Spread> {
    let Spread { median, min, max } = compared.ratio(&title(kind, 2), &title(kind, 1), object.title())?;
    Some(Spread { median: 2.0 * median, min: 2.0 * min, max: 2.0 * max })
}

fn speedups(compared: &Comparison) -> String {
    let mut lines = vec![
        "| work of two threads, as a multiple of one thread's | 1 KiB playlist | 200 KiB |".to_owned(),
        "|---|---:|---:|".to_owned(),
    ];
    for kind in [Kind::Tidegate, Kind::Nginx] {
        let [small, large] = CASES.map(|object| cell(speedup(compared, kind, object), 2));
        lines.push(format!("| {kind} | {small} | {large} |"));
    }
    lines.join("\n") + "\n"
}

const ABOUT: &str = "\
## Two threads

The same load for servers with one thread and with two (nginx: processes) on the same two cores.
With four or more cores, the load has two others; with two cores it shares them, and the rate of requests has no meaning.
Therefore the CPU time per request is compared: twice the work of one thread per second of CPU, over the work of two threads per second of CPU each.
2 is perfect; the difference is what the threads cost each other.
";
