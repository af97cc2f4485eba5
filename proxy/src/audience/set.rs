//! A set of viewers: exact while it is small, an estimate beyond.
//!
//! Each viewer is a random number. When the set is full, it keeps only the numbers that end in one zero bit
//! more and counts each of them twice as often (Wegman's adaptive sampling). So its memory is bounded, and
//! its standard error is the inverse of the root of the numbers that it keeps.
//!
//! Time is the number of a step; there is no clock here.

use std::collections::HashMap;

/// The viewers that were seen within the last steps.
#[derive(Debug)]
pub(crate) struct Viewers {
    /// The last step in which each kept number was seen.
    seen: HashMap<u64, u32, ahash::RandomState>,
    capacity: usize,
    /// Steps for which a viewer counts after its last request.
    window: u32,
    /// Numbers are kept if they have this many trailing zero bits.
    kept: u32,
    /// Numbers are counted if they have this many. More than `kept` while the set fills up after `kept` was
    /// lowered, in this step.
    counted: u32,
    lowered: u32,
    /// The count before the numbers of all viewers changed, and the last step for which it holds.
    before: Option<(u64, u32)>,
    /// Steps that viewers have watched, added up.
    watched: u64,
    peak: u64,
}

impl Viewers {
    /// An empty set that keeps at most `capacity` numbers.
    pub(crate) fn new(capacity: usize, window: u32) -> Self {
        Self {
            seen: HashMap::default(),
            capacity,
            window,
            kept: 0,
            counted: 0,
            lowered: 0,
            before: None,
            watched: 0,
            peak: 0,
        }
    }

    /// A viewer requests something. Returns false if the viewer is new and `may_add` forbids new ones.
    pub(crate) fn see(&mut self, viewer: u64, now: u32, may_add: bool) -> bool {
        if viewer.trailing_zeros() < self.kept {
            return true;
        }
        if let Some(last) = self.seen.get_mut(&viewer) {
            let gap = now.saturating_sub(*last);
            *last = now.max(*last);
            if gap <= self.window && viewer.trailing_zeros() >= self.counted {
                self.watched = self.watched.saturating_add(u64::from(gap) << self.counted);
            }
            return true;
        }
        if !may_add {
            return false;
        }
        self.seen.insert(viewer, now);
        if self.seen.len() > self.capacity {
            self.shrink(now);
        }
        true
    }

    /// The number of viewers.
    pub(crate) fn count(&self, now: u32) -> u64 {
        let seen = self.seen.iter().filter(|(viewer, last)| {
            now.saturating_sub(**last) <= self.window && viewer.trailing_zeros() >= self.counted
        });
        let count = (seen.count() as u64) << self.counted;
        self.before.filter(|(_, until)| now <= *until).map_or(count, |(before, _)| before.max(count))
    }

    /// Ends a step: forgets the viewers that have left, and notes the peak.
    pub(crate) fn end_step(&mut self, now: u32) {
        self.tidy(now);
        if self.counted > self.kept && now.saturating_sub(self.lowered) > self.window {
            self.counted = self.kept;
        }
        if self.kept > 0 && self.kept == self.counted && self.seen.len() < self.capacity / 4 {
            // By as many bits as there is room for: few are left of many, and the count is exact soon.
            let room = (self.capacity / 2 / self.seen.len().max(1)).max(2).ilog2();
            self.kept -= room.min(self.kept);
            self.lowered = now;
        }
        self.peak = self.peak.max(self.count(now));
    }

    /// The numbers of all viewers change. The present count holds until they have been seen again.
    pub(crate) fn renumber(&mut self, now: u32) {
        self.before = Some((self.count(now), now.saturating_add(self.window)));
        self.seen.clear();
    }

    /// The greatest number of viewers at the end of a step.
    pub(crate) fn peak(&self, now: u32) -> u64 {
        self.peak.max(self.count(now))
    }

    /// Steps that viewers have watched, from the first request of each to the last, added up.
    pub(crate) fn watched(&self) -> u64 {
        self.watched
    }

    /// The numbers that it keeps.
    pub(crate) fn len(&self) -> usize {
        self.seen.len()
    }

    fn tidy(&mut self, now: u32) {
        let window = self.window;
        self.seen.retain(|_, last| now.saturating_sub(*last) <= window);
        if self.seen.len() < self.seen.capacity() / 4 {
            self.seen.shrink_to(self.seen.len() * 2);
        }
    }

    /// Makes room. Some of it is left free, so that the next viewers do not cause it again.
    fn shrink(&mut self, now: u32) {
        self.tidy(now);
        while self.seen.len() > self.capacity / 4 * 3 && self.kept < 63 {
            self.kept += 1;
            let kept = self.kept;
            self.seen.retain(|viewer, _| viewer.trailing_zeros() >= kept);
        }
        self.counted = self.counted.max(self.kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers without a pattern.
    fn viewer(number: u64) -> u64 {
        let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn see(set: &mut Viewers, viewers: std::ops::Range<u64>, now: u32) {
        for number in viewers {
            assert!(set.see(viewer(number), now, true));
        }
    }

    /// The error in thousandths.
    fn error(set: &Viewers, now: u32, actual: u64) -> u64 {
        set.count(now).abs_diff(actual) * 1000 / actual
    }

    #[test]
    fn a_viewer_counts_once_until_the_window_ends() {
        let mut set = Viewers::new(100, 6);
        see(&mut set, 0..10, 0);
        see(&mut set, 0..4, 3);
        for (now, count) in [(3, 10), (6, 10), (7, 4), (9, 4), (10, 0)] {
            assert_eq!(set.count(now), count, "at {now}");
            set.end_step(now);
        }
        assert_eq!((set.peak(10), set.len()), (10, 0));
    }

    #[test]
    fn the_time_watched_is_that_between_requests() {
        let mut set = Viewers::new(100, 6);
        for now in 0..=20 {
            see(&mut set, 0..2, now);
        }
        assert_eq!(set.watched(), 40);
        see(&mut set, 0..2, 40);
        assert_eq!(set.watched(), 40, "a pause longer than the window is not watched");
    }

    #[test]
    fn beyond_its_capacity_it_estimates_within_two_percent() {
        let mut set = Viewers::new(32_768, 6);
        for (number, actual) in [20_000, 50_000, 100_000, 400_000].into_iter().enumerate() {
            see(&mut set, 0..actual, 0);
            assert!(error(&set, 0, actual) < 20, "{number}: {} for {actual}", set.count(0));
            assert!(set.len() <= 32_768);
        }
        assert_eq!(set.count(7), 0);
    }

    #[test]
    fn the_time_watched_is_estimated_too() {
        let mut set = Viewers::new(32_768, 6);
        for now in 0..5 {
            see(&mut set, 0..100_000, now);
        }
        assert!(set.watched().abs_diff(400_000) < 8_000, "{}", set.watched());
    }

    #[test]
    fn it_becomes_exact_again_when_most_have_left() {
        let mut set = Viewers::new(1_024, 6);
        see(&mut set, 0..20_000, 0);
        for now in 1..200 {
            see(&mut set, 0..500, now);
            set.end_step(now);
            // While the crowd leaves, about 16 numbers stand for the 500.
            if now > 6 {
                assert!(error(&set, now, 500) < 500, "{} at {now}", set.count(now));
            }
            if now > 16 {
                assert_eq!(set.count(now), 500, "at {now}");
            }
        }
    }

    #[test]
    fn new_numbers_for_the_same_viewers_do_not_double_them() {
        let mut set = Viewers::new(100, 6);
        see(&mut set, 0..10, 0);
        set.renumber(1);
        see(&mut set, 100..110, 2);
        assert_eq!(set.count(2), 10);
        see(&mut set, 110..115, 3);
        assert_eq!((set.count(3), set.count(8)), (15, 15));
        assert_eq!(set.peak(8), 15);
    }

    #[test]
    fn without_room_only_known_viewers_are_seen() {
        let mut set = Viewers::new(100, 6);
        assert!(set.see(viewer(1), 0, true));
        assert!(set.see(viewer(1), 1, false));
        assert!(!set.see(viewer(2), 1, false));
        assert_eq!(set.count(1), 1);
    }
}
