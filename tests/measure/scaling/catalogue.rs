//! The channels on the air, each in several renditions, each of which has its own folder.

/// The renditions of each channel: Mbit/s, and the share of a channel's viewers that watches it.
pub(crate) const LADDER: [(f64, f64); 5] = [(0.4, 0.05), (0.8, 0.1), (1.6, 0.2), (3.2, 0.3), (6.0, 0.35)];

/// One playlist and the segments beside it.
#[derive(Debug, Clone)]
pub(crate) struct Rendition {
    /// The key of its playlist, as a tier makes it.
    pub(crate) playlist: String,
    /// The key of the newest segment.
    pub(crate) segment: String,
    /// Megabits per second.
    pub(crate) mbit: f64,
}

/// All renditions of this many channels, channel by channel.
pub(crate) fn renditions(channels: u32) -> Vec<Rendition> {
    let of_one = |channel| {
        LADDER.iter().zip(1..).map(move |(&(mbit, _), rung): (_, u32)| {
            let folder = format!("default/live/ch{channel}/{rung}");
            Rendition {
                playlist: format!("{folder}/index.m3u8"),
                segment: format!("{folder}/seg00004711.m4s"),
                mbit,
            }
        })
    };
    (1..=channels).flat_map(of_one).collect()
}

/// Megabits per second of the average viewer.
pub(crate) fn average_mbit() -> f64 {
    LADDER.iter().map(|(mbit, share)| mbit * share).sum()
}

/// Megabits per second of all renditions of one channel together.
pub(crate) fn channel_mbit() -> f64 {
    LADDER.iter().map(|(mbit, _)| mbit).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_viewer_watches_one_rendition() {
        assert!((LADDER.iter().map(|(_, share)| share).sum::<f64>() - 1.0).abs() < 1e-9);
        assert!((average_mbit() - 3.48).abs() < 1e-9);
    }

    #[test]
    fn a_segment_lies_beside_its_playlist() {
        let renditions = renditions(20);
        assert_eq!(renditions.len(), 100);
        for Rendition { playlist, segment, .. } in renditions {
            let folder = |key: &str| key.rsplit_once('/').map(|(folder, _)| folder.to_owned());
            assert_eq!(folder(&playlist), folder(&segment));
        }
    }
}
