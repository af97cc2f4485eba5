//! 1,000 to 1,000,000 objects in the cache: CPU per hit, and memory per object beyond its body.

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::Settings;
use super::comparison::per;
use super::configuration::ANY_BYTES;
use super::findings::Findings;
use super::load::Load;
use super::servers::{Kind, Server};
use super::stage::{LOAD_CORE, Options, Stage};
use super::statistics::{Spread, cell};
use super::{answers, wire};

const SIZES: [u64; 4] = [1000, 10_000, 100_000, 1_000_000];
const CONNECTIONS: u32 = 64;
/// The maximum of rounds for hits.
const ROUNDS: u32 = 3;
/// The maximum time of one step of filling, and the time between checks for its end.
const FILL_SECONDS_MAX: u32 = 240;
const FILL_SECONDS: u32 = 2;
/// Requests each path after one number, up to another, once, and then the last one.
const EACH: &str = "local prefix, n, last
function init(args) prefix = args[1]; n = tonumber(args[2]); last = tonumber(args[3]) end
function request()
  if n < last then n = n + 1 end
  return wrk.format('GET', prefix .. n)
end
";
/// Requests any path up to a number.
const ANY: &str = "local prefix, last
function init(args) prefix = args[1]; last = tonumber(args[2]); math.randomseed(last) end
function request() return wrk.format('GET', prefix .. math.random(last)) end
";

/// The measurements at one number of objects.
#[derive(Debug, Clone, Serialize)]
struct Step {
    objects: u64,
    /// Resident memory beyond that of the empty server.
    resident_bytes: u64,
    cpu_us_per_hit: Vec<f64>,
}

pub(crate) fn measure(stage: &Stage, settings: &Settings) -> Result<Findings> {
    let options = Options { memory: "12GiB", ..Options::default() };
    let server = stage.start(Kind::Tidegate, options)?;
    answers::check(stage, &server, &Load::of("/any/0", 1), true)?;
    let empty = server.memory()?;
    let mut steps = Vec::new();
    for objects in SIZES.into_iter().filter(|objects| *objects <= settings.objects_max) {
        if !fill(stage, &server, objects)? {
            eprintln!("{objects} objects are not cached within {FILL_SECONDS_MAX} s");
            break;
        }
        let resident_bytes = server.memory()?.saturating_sub(empty);
        let hits =
            (0..settings.rounds.min(ROUNDS)).map(|_round| hit(stage, &server, objects, settings.seconds));
        let step = Step { objects, resident_bytes, cpu_us_per_hit: hits.collect::<Result<_>>()? };
        eprintln!("{step:?}");
        steps.push(step);
    }
    let (about, tables) = (ABOUT.to_owned(), table(&steps));
    Ok(Findings { about, tables, verdicts: Vec::new(), figures: json!(steps) })
}

/// Fills the cache up to a number of objects. Returns false if it takes longer than the maximum.
fn fill(stage: &Stage, server: &Server, objects: u64) -> Result<bool> {
    let script = stage.file("each.lua", EACH)?;
    for _ in 0..FILL_SECONDS_MAX / FILL_SECONDS {
        let cached = wire::metric(server.operators(), "tidegate_cache_objects")?;
        if cached >= per(objects) {
            return Ok(true);
        }
        // Requests in flight at the end of the load may be missing: they are repeated.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        let from = (cached as u64).saturating_sub(u64::from(CONNECTIONS));
        let script = Some((script.clone(), vec![from.to_string(), objects.to_string()]));
        let load = Load { script, ..Load::of("/any/", CONNECTIONS) };
        load.run(&load.url(server.address(), server.tls()), LOAD_CORE, FILL_SECONDS)?;
    }
    Ok(false)
}

/// The cost of a hit among this number of objects, in microseconds of CPU.
fn hit(stage: &Stage, server: &Server, objects: u64, seconds: u32) -> Result<f64> {
    let script = Some((stage.file("any.lua", ANY)?, vec![objects.to_string()]));
    let load = Load { script, ..Load::of("/any/", CONNECTIONS) };
    let cpu = server.cpu()?;
    let counted = load.run(&load.url(server.address(), server.tls()), LOAD_CORE, seconds)?;
    Ok(server.cpu()?.saturating_sub(cpu).as_secs_f64() * 1e6 / per(counted.requests))
}

const ABOUT: &str = "\
## Objects in the cache

Objects of 512 bytes, each requested once so that Tidegate caches it; then any of them, at random.
The overhead is the resident memory of the process beyond that of the empty process, less the bodies: heads, keys, the order of the cache, and memory that the allocator retains.
64 keep-alive connections.
The growth ends when a step takes more than four minutes.
";

fn table(steps: &[Step]) -> String {
    let mut lines = vec![
        "| objects | µs of CPU per hit | bytes of overhead per object |".to_owned(),
        "|---:|---:|---:|".to_owned(),
    ];
    lines.extend(steps.iter().map(|step| {
        let hit = Spread::of(step.cpu_us_per_hit.iter().copied());
        let hit = cell(hit, 1);
        format!("| {} | {hit} | {:.0} |", step.objects, step.overhead())
    }));
    lines.join("\n") + "\n"
}

impl Step {
    fn overhead(&self) -> f64 {
        per(self.resident_bytes) / per(self.objects) - per(ANY_BYTES as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overhead_is_the_memory_beyond_the_bodies() {
        let (objects, resident_bytes) = (1000, 1_512_000);
        let step = Step { objects, resident_bytes, cpu_us_per_hit: vec![3.0, 1.0, 2.0] };
        assert!(table(&[step]).ends_with("| 1000 | 2.0 (1.0..3.0) | 1000 |\n"));
    }
}
