//! The media that a viewer has loaded and not yet shown.

use std::time::Duration;

use tokio::time::Instant;

/// A buffer that is played out in real time.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    /// When the buffer runs dry; `None` before the first segment.
    dry_at: Option<Instant>,
}

impl Buffer {
    /// Adds a segment that has just arrived; returns how long the picture had been stalled.
    pub(super) fn push(&mut self, duration: Duration) -> Duration {
        let now = Instant::now();
        let stall = self.stalled();
        self.dry_at = Some(self.dry_at.map_or(now, |dry_at| dry_at.max(now)) + duration);
        stall
    }

    /// How long the picture has been stalled now.
    pub(super) fn stalled(&self) -> Duration {
        self.dry_at.map_or(Duration::ZERO, |dry_at| Instant::now().saturating_duration_since(dry_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn a_picture_stalls_from_the_end_of_the_last_segment_until_the_next_one_arrives() {
        let mut buffer = Buffer::default();
        assert_eq!(buffer.stalled(), Duration::ZERO, "nothing is played yet");
        assert_eq!(buffer.push(SEGMENT), Duration::ZERO);
        assert_eq!(buffer.push(SEGMENT), Duration::ZERO);
        tokio::time::advance(SEGMENT * 2).await;
        assert_eq!(buffer.stalled(), Duration::ZERO);
        tokio::time::advance(SEGMENT / 2).await;
        assert_eq!(buffer.push(SEGMENT), SEGMENT / 2);
        tokio::time::advance(SEGMENT).await;
        assert_eq!(buffer.stalled(), Duration::ZERO, "lost time is not made up for");
    }
}
