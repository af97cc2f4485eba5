//! What one connection was counted for in this step, so that a further request costs a comparison.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

/// The places for which a connection was counted lately, and the number of its viewer.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    /// Marks of places and steps. No lock: the requests of an HTTP/1.1 connection come one after the other,
    /// and over HTTP/2 a lost mark costs one more count, which changes nothing.
    marks: [AtomicU64; PLACES],
    next: AtomicUsize,
    /// The number of its last viewer, by a fingerprint of what it was made of. Neither is an address.
    viewer: Mutex<Option<(u64, u64)>>,
}

/// Audio, video, and the segments of both.
const PLACES: usize = 4;

impl Recent {
    /// Whether a request for something in this place is counted already.
    pub(crate) fn is_counted(&self, place: u64, step: u32) -> bool {
        let mark = mark(place, step);
        self.marks.iter().any(|noted| noted.load(Ordering::Relaxed) == mark)
    }

    /// Notes a place, instead of the one that was noted first.
    pub(super) fn note(&self, place: u64, step: u32) {
        if self.is_counted(place, step) {
            return;
        }
        let next = self.next.fetch_add(1, Ordering::Relaxed) % PLACES;
        if let Some(noted) = self.marks.get(next) {
            noted.store(mark(place, step), Ordering::Relaxed);
        }
    }

    /// The number of the viewer with this fingerprint, made if it is not the last one.
    pub(super) fn viewer(&self, fingerprint: u64, make: impl FnOnce() -> Option<u64>) -> Option<u64> {
        let mut known = self.viewer.lock();
        if let Some((last, viewer)) = *known
            && last == fingerprint
        {
            return Some(viewer);
        }
        let viewer = make()?;
        *known = Some((fingerprint, viewer));
        Some(viewer)
    }
}

/// One number for a place in a step. Places are hashes: two of them differ in more bits than steps have.
const fn mark(place: u64, step: u32) -> u64 {
    place ^ step as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_once_in_a_step() {
        let recent = Recent::default();
        let place = |number: u64| number << 32;
        assert!(!recent.is_counted(place(7), 1));
        recent.note(place(7), 1);
        assert!(recent.is_counted(place(7), 1));
        assert!(!recent.is_counted(place(8), 1) && !recent.is_counted(place(7), 2));
        for number in 8..11 {
            recent.note(place(number), 1);
        }
        assert!((7..11).all(|number| recent.is_counted(place(number), 1)));
        recent.note(place(11), 1);
        assert!(!recent.is_counted(place(7), 1) && recent.is_counted(place(8), 1), "the oldest is forgotten");
        recent.note(place(8), 1);
        assert!(recent.is_counted(place(9), 1), "what is noted already takes no place of another");
    }

    #[test]
    fn the_number_of_a_viewer_is_made_once() {
        let recent = Recent::default();
        assert_eq!(recent.viewer(1, || Some(10)), Some(10));
        assert_eq!(recent.viewer(1, || None), Some(10));
        assert_eq!(recent.viewer(2, || Some(20)), Some(20));
        assert_eq!(recent.viewer(1, || Some(11)), Some(11));
    }
}
