//! The stub's configuration: one TOML file, every field with a default and bounds.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::units::{duration, part_target, size, within};

mod units;

/// The configuration file `conf/origin-stub.toml`. `Config::default()` equals that file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The address for players, shields and encoders. Port 0 takes any free port. Default 127.0.0.1:8088.
    pub listen: SocketAddr,
    /// The address for faults and counts. Default 127.0.0.1:9088.
    pub admin: SocketAddr,
    /// The largest number of open connections on the data listener, 1 to 100000. Default 8192.
    #[serde(deserialize_with = "within::<1, 100_000, _>")]
    pub connections_max: u64,
    /// How long a connection may wait for a (next) request head. Default 60 s.
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
    /// How long open responses may continue after a shutdown request. Default 2 s.
    #[serde(with = "duration")]
    pub drain_timeout: Duration,
    /// Live streams.
    pub live: Live,
    /// Low-latency streams.
    pub low_latency: LowLatency,
    /// Event streams.
    pub event: Event,
    /// Video on demand.
    pub vod: Vod,
    /// Synthetic objects.
    pub bytes: Synthetic,
    /// Objects that an encoder pushes.
    pub ingest: Ingest,
    /// Limits of the recorded requests.
    pub counts: Counts,
    /// The number of faults in force.
    pub faults: Faults,
}

/// `/live/...`: the sliding window and its headers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Live {
    /// Segments listed in a live playlist, 1 to 1000. Default 6.
    #[serde(deserialize_with = "within::<1, 1000, _>")]
    pub window_segments: u64,
    /// How many windows of expired segments stay fetchable, 0 to 100. Default 2.
    #[serde(deserialize_with = "within::<0, 100, _>")]
    pub windows_kept: u64,
    /// Cache-Control of live and event playlists. Default "no-cache", as many real origins have.
    pub playlist_cache_control: String,
    /// Cache-Control of segments, init sections and finished playlists. Default "max-age=3600".
    pub segment_cache_control: String,
}

/// `/ll/...`: live streams whose segments appear in parts. Headers, and the retention of old segments, are
/// those of `live`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LowLatency {
    /// Segments listed in a playlist, 1 to 1000; deltas leave out those older than six. Default 15.
    #[serde(deserialize_with = "within::<1, 1000, _>")]
    pub window_segments: u64,
    /// The duration of a part, 270 ms to 1 s. A segment has a whole number of parts, which are cut between
    /// frames: players get the resulting target. Default 333 ms: six parts of at most 360 ms.
    #[serde(serialize_with = "duration::serialize", deserialize_with = "part_target::one")]
    pub part_target: Duration,
    /// The same for single streams, by name. Default none.
    #[serde(serialize_with = "part_target::serialize", deserialize_with = "part_target::by_name")]
    pub part_targets: BTreeMap<String, Duration>,
}

/// `/event/...`: a playlist that grows from the start of the stub.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Event {
    /// The playlist ends with this many segments, 10 to 10000. Default 900, half an hour.
    #[serde(deserialize_with = "within::<10, 10_000, _>")]
    pub segments_max: u64,
}

/// `/vod/...`: a finished playlist.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Vod {
    /// How often the 8 s loop is repeated, 1 to 1000. Default 5.
    #[serde(deserialize_with = "within::<1, 1000, _>")]
    pub loops: u64,
}

/// `/bytes/...`: synthetic objects.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Synthetic {
    /// The largest object. Default 64 MiB.
    #[serde(with = "size")]
    pub object_bytes_max: u64,
    /// Cache-Control unless the query sets another. Default "max-age=60".
    pub cache_control: String,
}

/// `/ingest/...`: playlists and segments that an encoder pushes, all kept in memory.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ingest {
    /// The largest object. Default 16 MiB.
    #[serde(with = "size")]
    pub object_bytes_max: u64,
    /// The size of all objects together, finished and under way. Default 256 MiB.
    #[serde(with = "size")]
    pub total_bytes_max: u64,
    /// The largest number of objects, 1 to 100000. Default 4096.
    #[serde(deserialize_with = "within::<1, 100_000, _>")]
    pub objects_max: u64,
    /// An upload that sends nothing for this long is refused. Default 30 s.
    #[serde(with = "duration")]
    pub stall_timeout: Duration,
}

/// Limits of the recorded requests.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Counts {
    /// Paths counted separately, 1 to 1000000; later ones count in the totals only. Default 65536.
    #[serde(deserialize_with = "within::<1, 1_000_000, _>")]
    pub paths_max: u64,
    /// Requests recorded with their headers, 0 to 100000. Default 1000.
    #[serde(deserialize_with = "within::<0, 100_000, _>")]
    pub recent_max: u64,
}

/// The number of faults in force.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// The largest number of faults in force, 1 to 10000. Default 256.
    #[serde(deserialize_with = "within::<1, 10_000, _>")]
    pub faults_max: u64,
}

/// Why a configuration is invalid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The text is not TOML, or a field is unknown, of the wrong type or out of bounds. The message shows the
    /// line with its field, and names line and column.
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
}

impl Config {
    /// Parses a configuration; fields that the text leaves out have their defaults.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        Ok(toml::from_str(text)?)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8088)),
            admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 9088)),
            connections_max: 8192,
            idle_timeout: Duration::from_mins(1),
            drain_timeout: Duration::from_secs(2),
            live: Live::default(),
            low_latency: LowLatency::default(),
            event: Event::default(),
            vod: Vod::default(),
            bytes: Synthetic::default(),
            ingest: Ingest::default(),
            counts: Counts::default(),
            faults: Faults::default(),
        }
    }
}

impl Default for Live {
    fn default() -> Self {
        Self {
            window_segments: 6,
            windows_kept: 2,
            playlist_cache_control: "no-cache".to_owned(),
            segment_cache_control: "max-age=3600".to_owned(),
        }
    }
}

impl Default for LowLatency {
    fn default() -> Self {
        Self { window_segments: 15, part_target: Duration::from_millis(333), part_targets: BTreeMap::new() }
    }
}

impl Default for Event {
    fn default() -> Self {
        Self { segments_max: 900 }
    }
}

impl Default for Vod {
    fn default() -> Self {
        Self { loops: 5 }
    }
}

impl Default for Synthetic {
    fn default() -> Self {
        Self { object_bytes_max: 64 << 20, cache_control: "max-age=60".to_owned() }
    }
}

impl Default for Ingest {
    fn default() -> Self {
        Self {
            object_bytes_max: 16 << 20,
            total_bytes_max: 256 << 20,
            objects_max: 4096,
            stall_timeout: Duration::from_secs(30),
        }
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self { paths_max: 65_536, recent_max: 1000 }
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self { faults_max: 256 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = include_str!("../../conf/origin-stub.toml");

    #[test]
    fn the_committed_file_equals_the_defaults() {
        assert_eq!(Config::parse(FILE).unwrap(), Config::default());
    }

    #[test]
    fn the_committed_file_shows_every_field() {
        let shown: toml::Table = FILE.parse().unwrap();
        let all: toml::Table = toml::to_string(&Config::default()).unwrap().parse().unwrap();
        assert_eq!(shown, all);
    }

    #[test]
    fn an_unknown_field_is_named_with_line_and_column() {
        let error = Config::parse("[live]\nwindow = 6\n").unwrap_err().to_string();
        assert!(error.contains("line 2, column 1"), "{error}");
        assert!(error.contains("`window`"), "{error}");
    }

    #[test]
    fn a_value_out_of_bounds_is_named_with_line_column_and_field() {
        let error = Config::parse("[live]\nwindow_segments = 0\n").unwrap_err().to_string();
        assert!(error.contains("line 2, column"), "{error}");
        assert!(error.contains("window_segments"), "{error}");
        assert!(error.contains("1 to 1000"), "{error}");
    }

    #[test]
    fn part_targets_are_bounded_for_all_streams_and_for_each() {
        let config = Config::parse("[low_latency.part_targets]\nslow = \"500ms\"\n").unwrap();
        assert_eq!(config.low_latency.part_targets["slow"], Duration::from_millis(500));
        for text in
            ["[low_latency]\npart_target = \"200ms\"\n", "[low_latency.part_targets]\nslow = \"2s\"\n"]
        {
            let error = Config::parse(text).unwrap_err().to_string();
            assert!(error.contains("line 2, column"), "{error}");
            assert!(error.contains("270ms to 1s"), "{error}");
        }
    }

    #[test]
    fn a_wrong_unit_is_named() {
        let error = Config::parse("idle_timeout = \"5 parsecs\"").unwrap_err().to_string();
        assert!(error.contains("line 1, column"), "{error}");
        assert!(error.contains("\"2s\""), "{error}");
        let error = Config::parse("[bytes]\nobject_bytes_max = \"64 acres\"").unwrap_err().to_string();
        assert!(error.contains("\"64MiB\""), "{error}");
    }
}
