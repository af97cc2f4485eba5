//! Statistics over rounds: medians, spreads, and whether a target is met.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Median, minimum and maximum of some figures.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// The spread of the figures; `None` if there are none.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let middle = figures.len() / 2;
        let above = *figures.get(middle)?;
        let median = if figures.len() % 2 == 1 {
            above
        } else {
            f64::midpoint(*figures.get(middle.checked_sub(1)?)?, above)
        };
        Some(Self { median, min: *figures.first()?, max: *figures.last()? })
    }
}

impl fmt::Display for Spread {
    /// The median, then minimum and maximum: `1.42 (1.38..1.47)`. The precision applies to all three.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        write!(f, "{:.digits$} ({:.digits$}..{:.digits$})", self.median, self.min, self.max)
    }
}

/// A spread as a cell of a table, or a dash if there is none.
pub(crate) fn cell(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(|| "—".to_owned(), |spread| format!("{spread:.digits$}"))
}

/// The bound of a target.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    pub(crate) fn admits(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(least) => figure >= least,
            Self::AtMost(most) => figure <= most,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "at least {least}"),
            Self::AtMost(most) => write!(f, "at most {most}"),
        }
    }
}

/// A target and the measured figure. The median decides whether it is met.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub(crate) struct Verdict {
    /// The name of the figure, such as "200 KiB, HTTP/1.1: requests per CPU-second, as a multiple of
    /// nginx's".
    pub(crate) what: String,
    pub(crate) target: Bound,
    pub(crate) measured: Spread,
}

impl Verdict {
    pub(crate) fn met(&self) -> bool {
        self.target.admits(self.measured.median)
    }
}

/// A table of verdicts.
pub(crate) fn table(verdicts: &[Verdict]) -> String {
    let mut lines = vec!["| what | target | measured | |".to_owned(), "|---|---|---:|---|".to_owned()];
    lines.extend(verdicts.iter().map(|verdict| {
        let Verdict { what, target, measured } = verdict;
        let word = if verdict.met() { "met" } else { "**missed**" };
        format!("| {what} | {target} | {measured} | {word} |")
    }));
    lines.join("\n") + "\n"
}

/// One line for each target that is missed.
pub(crate) fn missed(verdicts: &[Verdict]) -> Vec<String> {
    let missed = verdicts.iter().filter(|verdict| !verdict.met());
    missed
        .map(|Verdict { what, target, measured }| format!("{what}: {target}, measured {measured}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_median_and_extremes_in_any_order() {
        let spread = Spread::of([3.0, 1.0, 2.0]).unwrap();
        assert_eq!(spread, Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(spread.to_string(), "2.00 (1.00..3.00)");
        assert_eq!(format!("{spread:.0}"), "2 (1..3)");
    }

    #[test]
    fn the_median_of_an_even_number_is_the_mean_of_the_middle_two() {
        assert!((Spread::of([4.0, 1.0, 2.0, 3.0]).unwrap().median - 2.5).abs() < f64::EPSILON);
    }

    #[test]
    fn no_figures_have_no_spread() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(cell(None, 2), "—");
    }

    #[test]
    fn the_median_decides_whether_a_target_is_met() {
        let measured = Spread { median: 1.3, min: 1.1, max: 1.4 };
        let verdict = |target| Verdict { what: "any".to_owned(), target, measured };
        assert!(verdict(Bound::AtLeast(1.3)).met() && !verdict(Bound::AtLeast(1.31)).met());
        assert!(verdict(Bound::AtMost(1.3)).met() && !verdict(Bound::AtMost(1.29)).met());
        let table = table(&[verdict(Bound::AtLeast(1.5)), verdict(Bound::AtMost(4.0))]);
        assert!(table.contains("| any | at least 1.5 | 1.30 (1.10..1.40) | **missed** |\n"), "{table}");
        assert!(table.contains("| any | at most 4 | 1.30 (1.10..1.40) | met |\n"), "{table}");
    }

    #[test]
    fn missed_targets_are_listed_with_the_measured_figure() {
        let measured = Spread { median: 1.3, min: 1.1, max: 1.4 };
        let verdict = |what: &str, target| Verdict { what: what.to_owned(), target, measured };
        let verdicts = [verdict("hit", Bound::AtLeast(1.5)), verdict("miss", Bound::AtLeast(1.2))];
        assert_eq!(missed(&verdicts), ["hit: at least 1.5, measured 1.30 (1.10..1.40)"]);
    }
}
