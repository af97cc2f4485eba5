//! The inputs of the capacity model. Each figure can be overridden: `scaling large_us=420 cores=16`.

use anyhow::{Context as _, Result, bail};

use crate::text::number;

/// The figures, each with its source.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Inputs {
    pub(crate) small_us: f64,
    pub(crate) medium_us: f64,
    pub(crate) large_us: f64,
    pub(crate) idle_bytes: f64,
    pub(crate) waiter_bytes: f64,
    pub(crate) polls: f64,
    pub(crate) wire: f64,
    pub(crate) playlist_bytes: f64,
    pub(crate) head_bytes: f64,
    pub(crate) headroom: f64,
    pub(crate) segment_s: f64,
    pub(crate) window_s: f64,
    pub(crate) viewers: f64,
    pub(crate) channels: f64,
    pub(crate) regions: f64,
    pub(crate) connections_max: f64,
    pub(crate) cores: f64,
    pub(crate) nic_gbit: f64,
    pub(crate) imbalance: f64,
}

/// One figure: its name on the command line, its meaning, and the source of its default.
struct Field {
    name: &'static str,
    default: f64,
    meaning: &'static str,
    source: &'static str,
    of: fn(&mut Inputs) -> &mut f64,
}

macro_rules! fields {
    ($($name:ident = $default:literal, $meaning:literal, $source:literal;)*) => {
        const FIELDS: &[Field] = &[$(Field {
            name: stringify!($name),
            default: $default,
            meaning: $meaning,
            source: $source,
            of: |inputs| &mut inputs.$name,
        }),*];

        impl Default for Inputs {
            fn default() -> Self {
                Self { $($name: $default),* }
            }
        }
    };
}

const BENCH: &str = "[benchmarks](benchmarks.md)";

fields! {
    small_us = 6.2, "µs of CPU for a cached response of 1 KiB", "";
    medium_us = 28.9, "the same for 200 KiB; only to check the formula", "";
    large_us = 106.2, "the same for 1 MiB", "";
    idle_bytes = 1903.0, "bytes of an idle connection at an edge", "";
    waiter_bytes = 2936.0, "additional bytes while its player waits for the next playlist", "";
    polls = 1.27, "requests at the origin for each playlist version, if it cannot block requests", "";
    wire = 1.0622, "bytes on the wire for each byte sent", "Ethernet, IPv4 and TCP with timestamps: 1538 bytes for 1448";
    playlist_bytes = 1024.0, "bytes of a playlist", "assumed";
    head_bytes = 500.0, "bytes of the head of a response", "assumed";
    headroom = 0.6, "share of cores and network that the plan uses", "your choice";
    segment_s = 4.0, "seconds of a segment", "your stream";
    window_s = 60.0, "seconds that the playlist lists", "your stream";
    viewers = 1_000_000.0, "concurrent viewers", "your audience";
    channels = 10.0, "concurrent channels, each in five renditions", "your programme";
    regions = 3.0, "regions", "your choice, one to three";
    connections_max = 20_000.0, "connections of an edge, one for each viewer", "`listen.connections_max`, its default";
    cores = 8.0, "cores of an edge or a shield", "your machines";
    nic_gbit = 25.0, "Gbit/s of an edge or a shield", "your machines";
    imbalance = 2.0, "load of the busiest shield, × the mean", "your choice; see [Balance](#balance)";
}

impl Inputs {
    /// The defaults, overridden by `arguments` of the form `name=value`.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self> {
        let mut inputs = Self::default();
        for argument in arguments {
            let (name, value) = argument.split_once('=').context("figures are given as name=value")?;
            let field = FIELDS.iter().find(|field| field.name == name);
            let field = field.with_context(|| format!("there is no figure {name}"))?;
            let value: f64 = value.parse().with_context(|| format!("{name} is a number"))?;
            if !(value.is_finite() && value > 0.0) {
                bail!("{name} must be greater than zero");
            }
            *(field.of)(&mut inputs) = value;
        }
        if inputs.regions > 3.0 || inputs.regions.fract() > 0.0 {
            bail!("regions: one to three");
        }
        // For larger figures the simulation takes hours.
        if inputs.viewers > 20_000_000.0 || inputs.channels > 1000.0 {
            bail!("at most 20 million viewers and 1000 channels");
        }
        Ok(inputs)
    }

    /// A table of all figures.
    pub(crate) fn table(&self) -> String {
        let mut inputs = self.clone();
        let rows = FIELDS.iter().map(|field| {
            let value = *(field.of)(&mut inputs);
            let source = match (value.total_cmp(&field.default).is_eq(), field.source) {
                (false, _) => "given",
                (true, "") => BENCH,
                (true, source) => source,
            };
            format!("| `{}` | {} | {} | {source} |\n", field.name, number(value), field.meaning)
        });
        std::iter::once(
            "| figure | value | what it is | where it comes from |\n|---|---:|---|---|\n".to_owned(),
        )
        .chain(rows)
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Inputs> {
        Inputs::parse(&arguments.iter().map(|argument| (*argument).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn figures_are_given_by_name() {
        let inputs = parse(&["large_us=500", "cores=16"]).unwrap();
        assert_eq!(inputs, Inputs { large_us: 500.0, cores: 16.0, ..Inputs::default() });
        assert!(inputs.table().contains("| `large_us` | 500 | the same for 1 MiB | given |"));
    }

    #[test]
    fn an_edge_takes_as_many_connections_as_by_default() {
        let default = tidegate_edge::Config::default().listen.connections_max;
        assert_eq!(default.to_string(), format!("{}", Inputs::default().connections_max));
    }

    #[test]
    fn an_invalid_figure_is_refused() {
        for wrong in [
            "large_us",
            "large=5",
            "cores=many",
            "cores=0",
            "cores=inf",
            "regions=4",
            "regions=1.5",
            "viewers=1e9",
        ] {
            assert!(parse(&[wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_measured_defaults_are_in_the_benchmarks() {
        let page = include_str!("../../../docs/benchmarks.md");
        for field in FIELDS.iter().filter(|field| field.source.is_empty()) {
            let is_it = |word: &str| word.parse() == Ok(field.default);
            assert!(
                page.lines().any(|line| line.starts_with("| ") && line.split(' ').any(is_it)),
                "{} = {} is not in docs/benchmarks.md: put the new figure here and scaling.md anew/run/scaling.md anew",
                field.name,
                field.default
            );
        }
    }
}
