//! How many viewers a core, a network and a memory can serve. Plain arithmetic, each formula as
//! docs/scaling.md has it.

use crate::inputs::Inputs;
use crate::text::{number, whole};

const BITRATES: [f64; 4] = [1.0, 3.0, 6.0, 15.0];
const SEGMENTS: [f64; 4] = [0.5, 2.0, 4.0, 6.0];
/// 30 s, 60 s, half an hour, two hours.
const WINDOWS: [f64; 4] = [30.0, 60.0, 1800.0, 7200.0];

const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * 1024.0;
const MICRO: f64 = 1e6;

impl Inputs {
    /// µs of CPU for a cached response of this size: a fixed part, and one for each KiB.
    pub(crate) fn answer_us(&self, bytes: f64) -> f64 {
        let for_each_kib = (self.large_us - self.small_us) / 1023.0;
        self.small_us + for_each_kib * (bytes / KIB - 1.0)
    }

    /// µs of CPU in each second of one viewer: a segment and a playlist in each segment's time.
    pub(crate) fn viewer_us(&self, mbit: f64, segment_s: f64) -> f64 {
        (self.answer_us(segment_bytes(mbit, segment_s)) + self.answer_us(self.playlist_bytes)) / segment_s
    }

    /// Mbit/s on the network to one viewer.
    pub(crate) fn viewer_mbit(&self, mbit: f64, segment_s: f64) -> f64 {
        let beside = (self.playlist_bytes + 2.0 * self.head_bytes) * 8.0 / 1e6 / segment_s;
        (mbit + beside) * self.wire
    }

    /// Viewers that a core can serve.
    pub(crate) fn viewers_per_core(&self, mbit: f64, segment_s: f64) -> f64 {
        self.headroom * MICRO / self.viewer_us(mbit, segment_s)
    }

    /// Viewers that one Gbit/s can serve.
    pub(crate) fn viewers_per_gbit(&self, mbit: f64, segment_s: f64) -> f64 {
        self.headroom * 1000.0 / self.viewer_mbit(mbit, segment_s)
    }

    /// The cost of a cached response, and the error of the formula between its measured ends.
    pub(crate) fn responses(&self) -> String {
        let at_medium = self.answer_us(200.0 * KIB);
        format!(
            "    µs of a response = {} + {:.3} × (KiB − 1)\n\n\
             For 200 KiB it gives {} µs, where {} were measured.\n",
            number(self.small_us),
            (self.large_us - self.small_us) / 1023.0,
            number(at_medium),
            number(self.medium_us)
        )
    }

    /// Viewers by bitrate and segment duration.
    pub(crate) fn viewers_table(&self) -> String {
        let head = "| Mbit/s | seconds of a segment | its KiB | µs per viewer and second | viewers per core | viewers per Gbit/s | cores for each Gbit/s |\n\
                    |---:|---:|---:|---:|---:|---:|---:|\n";
        let row = |mbit: f64, segment_s: f64| {
            let (core, gbit) =
                (self.viewers_per_core(mbit, segment_s), self.viewers_per_gbit(mbit, segment_s));
            format!(
                "| {mbit} | {segment_s} | {} | {} | {} | {} | {:.2} |\n",
                whole(segment_bytes(mbit, segment_s) / KIB),
                whole(self.viewer_us(mbit, segment_s)),
                whole(core),
                whole(gbit),
                gbit / core
            )
        };
        let rows = BITRATES.iter().flat_map(|mbit| SEGMENTS.iter().map(move |seconds| row(*mbit, *seconds)));
        std::iter::once(head.to_owned()).chain(rows).collect()
    }

    /// Memory for connections and for cached media.
    pub(crate) fn memory_table(&self) -> String {
        let of_10_000 = |bytes: f64| 10_000.0 * bytes / MIB;
        let connections = format!(
            "| 10,000 connections | MiB |\n|---|---:|\n| idle | {:.1} |\n| all wait for the next playlist | {:.1} |\n\n",
            of_10_000(self.idle_bytes),
            of_10_000(self.idle_bytes + self.waiter_bytes)
        );
        let head = "| MiB for a rendition of | 30 s | 60 s | 30 min | 2 h |\n|---|---:|---:|---:|---:|\n";
        let rows = BITRATES.iter().map(|mbit| {
            let cells = WINDOWS.map(|seconds| format!("{} |", number_of_mib(media_mib(*mbit, seconds))));
            format!("| {mbit} Mbit/s | {}\n", cells.join(" "))
        });
        connections + head + &rows.collect::<String>()
    }
}

/// Bytes of one segment.
pub(crate) fn segment_bytes(mbit: f64, segment_s: f64) -> f64 {
    mbit * 1e6 / 8.0 * segment_s
}

/// MiB of this many seconds.
pub(crate) fn media_mib(mbit: f64, seconds: f64) -> f64 {
    segment_bytes(mbit, seconds) / MIB
}

/// MiB of this many connections.
pub(crate) fn connections_mib(inputs: &Inputs, connections: f64) -> f64 {
    connections * (inputs.idle_bytes + inputs.waiter_bytes) / MIB
}

fn number_of_mib(mib: f64) -> String {
    if mib < 100.0 { format!("{mib:.1}") } else { whole(mib) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round() -> Inputs {
        Inputs {
            small_us: 10.0,
            large_us: 10.0 + 1023.0 / 4.0,
            wire: 1.0,
            playlist_bytes: 1024.0,
            head_bytes: 0.5,
            headroom: 0.5,
            idle_bytes: 3.0 * 1024.0,
            waiter_bytes: 1024.0,
            ..Inputs::default()
        }
    }

    fn is_near(value: f64, expected: f64) -> bool {
        (value / expected - 1.0).abs() < 1e-9
    }

    #[test]
    fn a_response_costs_what_was_measured_at_both_ends() {
        let inputs = Inputs::default();
        assert!(is_near(inputs.answer_us(1024.0), inputs.small_us));
        assert!(is_near(inputs.answer_us(MIB), inputs.large_us));
    }

    #[test]
    fn a_viewer_costs_a_segment_and_a_playlist_in_each_segments_time() {
        // 8.192 Mbit/s for 2 s are 2000 KiB: 10 + 1999 / 4 µs, and 10 for the playlist.
        let us = round().viewer_us(8.192, 2.0);
        assert!(is_near(us, (10.0 + 1999.0 / 4.0 + 10.0) / 2.0), "{us}");
        assert!(is_near(round().viewers_per_core(8.192, 2.0), 500_000.0 / us));
    }

    #[test]
    fn a_network_carries_segments_playlists_and_heads() {
        // 1 KiB and twice half a byte in each second: 8.2 kbit/s.
        assert!(is_near(round().viewers_per_gbit(1.0, 1.0), 500.0 / 1.0082));
    }

    #[test]
    fn half_the_bitrate_and_twice_the_seconds_take_the_same_memory() {
        assert!(is_near(media_mib(6.0, 60.0), media_mib(3.0, 120.0)));
        assert!(is_near(media_mib(8.388_608, 1.0), 1.0));
        assert!(is_near(connections_mib(&round(), 1024.0), 4.0));
    }
}
