//! The number of passed and failed tests, summed over all programs.

use std::fmt;
use std::ops::AddAssign;
use std::process::Command;

use anyhow::Result;

use crate::shell;

/// The number of tests by outcome, displayed as the last line of a test run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Passed tests.
    pub(crate) passed: u64,
    /// Failed tests.
    pub(crate) failed: u64,
}

impl Tally {
    /// One test with the given outcome.
    pub(crate) const fn one(passed: bool) -> Self {
        if passed { Self { passed: 1, failed: 0 } } else { Self { passed: 0, failed: 1 } }
    }

    /// Reads libtest's closing line, `test result: ok. 3 passed; 0 failed; ...`.
    pub(crate) fn from_libtest(line: &str) -> Option<Self> {
        let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let count = |word: &str| {
            counts.split(';').find_map(|part| part.trim().strip_suffix(word)?.trim_end().parse::<u64>().ok())
        };
        Some(Self { passed: count("passed")?, failed: count("failed")? })
    }

    /// Reads one counting line of Node's test runner, `# pass 3` or `# fail 1`.
    pub(crate) fn from_node(line: &str) -> Option<Self> {
        let count = |word: &str| line.strip_prefix(word)?.trim().parse::<u64>().ok();
        if let Some(passed) = count("# pass ") {
            return Some(Self { passed, failed: 0 });
        }
        count("# fail ").map(|failed| Self { passed: 0, failed })
    }

    /// Reads the closing line of packaging/check, `packaging: 8 passed, 0 failed, 0 skipped`.
    pub(crate) fn from_packaging(line: &str) -> Option<Self> {
        let counts = line.strip_prefix("packaging: ")?;
        let count =
            |word: &str| counts.split(", ").find_map(|part| part.strip_suffix(word)?.parse::<u64>().ok());
        Some(Self { passed: count(" passed")?, failed: count(" failed")? })
    }

    /// Adds a failure if a program failed without a failed test: it did not build, or it crashed.
    pub(crate) const fn or_failed(self, success: bool) -> Self {
        if success || self.failed > 0 { self } else { Self { passed: self.passed, failed: 1 } }
    }

    /// Whether tests ran and none failed.
    pub(crate) const fn is_good(self) -> bool {
        self.passed > 0 && self.failed == 0
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Runs a program that counts tests, and sums the lines that `read` parses.
pub(crate) fn count(command: &mut Command, read: impl Fn(&str) -> Option<Tally>) -> Result<Tally> {
    let mut tally = Tally::default();
    let status = shell::each_line(command, |line| {
        if let Some(more) = read(line) {
            tally += more;
        }
    })?;
    Ok(tally.or_failed(status.success()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtest_lines_are_summed_and_others_ignored() {
        let lines = [
            "running 3 tests",
            "test a ... ok",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out; finished in 0.01s",
            "test result: FAILED. 10 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        ];
        let mut sum = Tally::default();
        for tally in lines.iter().filter_map(|line| Tally::from_libtest(line)) {
            sum += tally;
        }
        assert_eq!(sum, Tally { passed: 13, failed: 2 });
        assert_eq!(sum.to_string(), "13 passed, 2 failed");
    }

    #[test]
    fn node_counts_are_read_from_two_lines() {
        assert_eq!(Tally::from_node("# pass 7"), Some(Tally { passed: 7, failed: 0 }));
        assert_eq!(Tally::from_node("# fail 2"), Some(Tally { passed: 0, failed: 2 }));
        assert_eq!(Tally::from_node("# tests 9"), None);
    }

    #[test]
    fn the_check_of_packaging_counts_its_parts() {
        let line = "packaging: 7 passed, 1 failed, 0 skipped";
        assert_eq!(Tally::from_packaging(line), Some(Tally { passed: 7, failed: 1 }));
        assert_eq!(Tally::from_packaging("packaging/check needs what is not installed:"), None);
    }

    #[test]
    fn a_crash_without_a_failed_test_is_a_failure() {
        let clean = Tally { passed: 4, failed: 0 };
        assert_eq!(clean.or_failed(false).failed, 1);
        assert_eq!(clean.or_failed(true).failed, 0);
        assert_eq!(Tally { passed: 4, failed: 3 }.or_failed(false).failed, 3);
    }

    #[test]
    fn a_run_without_tests_is_not_a_pass() {
        assert!(!Tally::default().is_good());
        assert!(Tally::one(true).is_good());
        assert!(!Tally::one(false).is_good());
    }
}
