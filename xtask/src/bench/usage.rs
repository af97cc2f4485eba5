//! The CPU time (in nanoseconds) and memory of a process, over all its threads and children.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

/// The CPU time that a process and its descendants have used so far, ended threads included.
pub(crate) fn time_of(pid: u32) -> Result<Duration> {
    Ok(family(pid)?.into_iter().filter_map(cpu_time).sum())
}

/// The CPU time of one process; `None` if it has ended meanwhile.
#[cfg(target_os = "linux")]
fn cpu_time(pid: u32) -> Option<Duration> {
    use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
    use nix::unistd::Pid;

    let clock: ClockId = clock_getcpuclockid(Pid::from_raw(i32::try_from(pid).ok()?)).ok()?;
    clock_gettime(clock).ok().map(Duration::from)
}

/// Other systems have no `/proc`, which the benchmarks need.
#[cfg(not(target_os = "linux"))]
fn cpu_time(_: u32) -> Option<Duration> {
    None
}

/// The resident memory of a process and its descendants, in bytes; shared memory counts once (PSS).
pub(crate) fn memory_of(pid: u32) -> Result<u64> {
    let resident = |pid: u32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        Some(first_number(line) * 1024)
    };
    Ok(family(pid)?.into_iter().filter_map(resident).sum())
}

/// The process, its children, their children.
fn family(pid: u32) -> Result<Vec<u32>> {
    let folder = format!("/proc/{pid}");
    std::fs::metadata(&folder).with_context(|| format!("process {pid} is gone"))?;
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        let children = threads(parent, "children");
        found.extend(
            children
                .iter()
                .flat_map(|text| text.split_whitespace())
                .filter_map(|pid| pid.parse::<u32>().ok()),
        );
        next += 1;
    }
    Ok(found)
}

/// The contents of one file of each thread; a thread that ends meanwhile is left out.
fn threads(pid: u32, file: &str) -> Vec<String> {
    let Ok(tasks) = std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task")) else {
        return Vec::new();
    };
    tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join(file)).ok()).collect()
}

fn first_number(text: &str) -> u64 {
    text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_increases_our_own_time() {
        let before = time_of(std::process::id()).unwrap();
        let sum = (0..20_000_000_u64)
            .fold(0_u64, |sum, number| sum.wrapping_mul(31) ^ std::hint::black_box(number));
        std::hint::black_box(sum);
        assert!(time_of(std::process::id()).unwrap() > before);
    }

    #[test]
    fn written_memory_increases_our_own() {
        let before = memory_of(std::process::id()).unwrap();
        let block = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = memory_of(std::process::id()).unwrap();
        assert!(after > before + (32 << 20), "{before} {after} {}", block.len());
    }

    #[test]
    fn usage_of_an_ended_process_is_an_error() {
        assert!(time_of(u32::MAX).is_err() && memory_of(u32::MAX).is_err());
    }
}
