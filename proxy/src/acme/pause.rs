//! The pause after an order that failed. It is in the storage, so that neither a restart nor another node
//! orders sooner: authorities limit the failures of a host.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::storage;

/// Orders for a host that failed one after the other, and when the next may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pause {
    failures: u32,
    /// In seconds since 1970.
    pub(super) until: u64,
}

/// Why an order failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The authority refused. It counts the failures of a host: Let's Encrypt allows five in an hour.
    Refusal,
    /// Anything else, such as an authority that cannot be reached.
    Trouble,
}

impl Pause {
    /// The pause after a further failure. `random` spreads it by up to a quarter.
    pub(super) fn after(before: Option<Self>, cause: Cause, now: u64, random: u64) -> Self {
        let (first, max) = match cause {
            Cause::Refusal => (Duration::from_mins(2), Duration::from_hours(6)),
            Cause::Trouble => (Duration::from_secs(10), Duration::from_mins(15)),
        };
        let failures = before.map_or(0, |before| before.failures);
        let pause = first.saturating_mul(1 << failures.min(16)).min(max);
        let spread = pause.as_secs().saturating_mul(random % 256) / 1024;
        Self { failures: failures.saturating_add(1), until: now + pause.as_secs() + spread }
    }

    /// Reads the pause of a host; `None` if there is none.
    pub(super) fn read(file: &Path) -> Option<Self> {
        let text = fs::read_to_string(file).ok()?;
        let (failures, until) = text.trim().split_once(' ')?;
        Some(Self { failures: failures.parse().ok()?, until: until.parse().ok()? })
    }

    /// Ends the pause of a host.
    pub(super) fn clear(file: &Path) -> io::Result<()> {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes it.
    pub(super) fn write(self, file: &Path) -> io::Result<()> {
        storage::write(file, &format!("{} {}\n", self.failures, self.until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit() {
        for (cause, pauses) in [
            (Cause::Refusal, [120, 240, 480, 960, 1920, 3840, 7680, 15360, 21600, 21600]),
            (Cause::Trouble, [10, 20, 40, 80, 160, 320, 640, 900, 900, 900]),
        ] {
            let mut pause = None;
            for expected in pauses {
                let spread = Pause::after(pause, cause, 1000, 255).until - 1000;
                assert!((expected..=expected * 5 / 4).contains(&spread), "{expected} {spread}");
                pause = Some(Pause::after(pause, cause, 1000, 0));
                assert_eq!(pause.map(|pause| pause.until), Some(1000 + expected));
            }
        }
    }

    #[test]
    fn a_pause_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pauses/live.example");
        assert_eq!(Pause::read(&file), None);
        let pause = Pause::after(None, Cause::Refusal, 1000, 7);
        pause.write(&file).unwrap();
        assert_eq!(Pause::read(&file), Some(pause));
        Pause::clear(&file).unwrap();
        Pause::clear(&file).unwrap();
        assert_eq!(Pause::read(&file), None);
    }
}
