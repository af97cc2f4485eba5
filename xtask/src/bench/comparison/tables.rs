//! The tables of a comparison, in Markdown.

use super::{Case, Comparison, LARGE, Subject};
use crate::bench::statistics::Spread;

impl Comparison {
    /// The cost of requests, and the ratios to the first subject.
    pub(crate) fn tables(&self) -> String {
        let Some((first, others)) = self.plan.subjects.split_first() else { return String::new() };
        let mut text = self.costs();
        if !others.is_empty() {
            let corner = format!("requests per CPU-second of {}, as a multiple of", first.title);
            text.push('\n');
            text += &self.table(&corner, others, |subject, case| {
                self.ratio(&first.title, &subject.title, case).map(|ratio| ratio.to_string())
            });
        }
        text
    }

    /// The cost of requests.
    pub(crate) fn costs(&self) -> String {
        self.table("µs of server CPU per request", &self.plan.subjects, |subject, case| {
            self.cost(&subject.title, case).map(|cost| format!("{cost:.1}"))
        })
    }

    /// The cost of a sent MiB, for large bodies.
    pub(crate) fn per_mebibyte(&self) -> String {
        let large: Vec<_> = self.plan.cases.iter().filter(|case| case.body >= LARGE).collect();
        Self::table_of(&large, "µs of server CPU per MiB", &self.plan.subjects, |subject, case| {
            let mebibytes = |bytes: u64| super::per(bytes) / 1_048_576.0;
            let costs = self.of(&subject.title, case);
            let costs = costs.map(|sample| sample.cpu_seconds * 1e6 / mebibytes(sample.bytes));
            Spread::of(costs).map(|cost| format!("{cost:.0}"))
        })
    }

    fn table(
        &self,
        corner: &str,
        subjects: &[Subject],
        cell: impl Fn(&Subject, &str) -> Option<String>,
    ) -> String {
        Self::table_of(&self.plan.cases.iter().collect::<Vec<_>>(), corner, subjects, cell)
    }

    fn table_of(
        cases: &[&Case],
        corner: &str,
        subjects: &[Subject],
        cell: impl Fn(&Subject, &str) -> Option<String>,
    ) -> String {
        let titles: Vec<_> = cases.iter().map(|case| case.title.as_str()).collect();
        let rule = "---:|".repeat(titles.len());
        let mut lines = vec![format!("| {corner} | {} |", titles.join(" | ")), format!("|---|{rule}")];
        for subject in subjects {
            let cells = titles.iter().map(|case| cell(subject, case).unwrap_or_else(|| "—".to_owned()));
            lines.push(format!("| {} | {} |", subject.title, cells.collect::<Vec<_>>().join(" | ")));
        }
        lines.join("\n") + "\n"
    }
}
