//! Parses the Prometheus text of a tier's operators' listener at `/metrics`.

/// The samples of one scrape.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    samples: Vec<Sample>,
}

#[derive(Debug)]
struct Sample {
    name: String,
    /// The text between the braces.
    labels: String,
    value: f64,
}

impl Metrics {
    /// Parses the text; lines that are not samples are skipped.
    pub(crate) fn parse(text: &str) -> Self {
        Self { samples: text.lines().take(SAMPLES_MAX).filter_map(Sample::parse).collect() }
    }

    /// The sum over all samples named `name`.
    pub(crate) fn total(&self, name: &str) -> u64 {
        self.sum(|sample| sample.name == name)
    }

    /// The sum over the samples named `name` whose `label` has one of `values`.
    pub(crate) fn total_where(&self, name: &str, label: &str, values: &[&str]) -> u64 {
        self.sum(|sample| {
            sample.name == name && sample.label(label).is_some_and(|value| values.contains(&value))
        })
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a negative count reads as 0"
    )]
    fn sum(&self, counts: impl Fn(&Sample) -> bool) -> u64 {
        let sum: f64 = self.samples.iter().filter(|sample| counts(sample)).map(|sample| sample.value).sum();
        sum as u64
    }
}

impl Sample {
    fn parse(line: &str) -> Option<Self> {
        let line = line.trim();
        if line.starts_with('#') {
            return None;
        }
        let (series, value) = match line.rsplit_once('}') {
            Some((series, value)) => (series, value),
            None => line.split_once(' ')?,
        };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let value = value.split_whitespace().next()?.parse().ok()?;
        Some(Self { name: name.trim().to_owned(), labels: labels.to_owned(), value })
    }

    /// The value of a label. Tidegate's label values come from enums, so none contains a quote or a comma.
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.split(',').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            (key.trim() == name).then(|| value.trim().trim_matches('"'))
        })
    }
}

const SAMPLES_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP tidegate_requests_total Requests.\n# TYPE tidegate_requests_total counter\n\
                        tidegate_requests_total{fate=\"hit\",method=\"get\"} 40\n\
                        tidegate_requests_total{fate=\"miss\",method=\"get\"} 2\n\
                        tidegate_requests_total{fate=\"join\",method=\"get\"} 8 1700000000\n\
                        tidegate_waiters 3\nbroken line here\n";

    #[test]
    fn samples_are_summed_by_name_and_by_label() {
        let metrics = Metrics::parse(TEXT);
        assert_eq!(metrics.total("tidegate_requests_total"), 50);
        assert_eq!(metrics.total_where("tidegate_requests_total", "fate", &["hit", "join"]), 48);
        assert_eq!(metrics.total("tidegate_waiters"), 3);
    }

    #[test]
    fn missing_samples_count_as_zero() {
        let metrics = Metrics::parse(TEXT);
        assert_eq!(metrics.total("tidegate_requests"), 0);
        assert_eq!(metrics.total_where("tidegate_requests_total", "fat", &["hit"]), 0);
        assert_eq!(metrics.total("broken"), 0);
    }
}
