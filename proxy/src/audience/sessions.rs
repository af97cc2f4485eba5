//! What each session watches, for reports that players post: these name a session and no stream.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// What the sessions that were seen lately watch, by their numbers.
#[derive(Debug)]
pub(super) struct Sessions<T>(Mutex<HashMap<u64, Watching<T>, ahash::RandomState>>);

#[derive(Debug)]
struct Watching<T> {
    stream: Arc<T>,
    /// The last step in which the session was seen.
    last: u32,
}

impl<T> Sessions<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    /// A session watches a stream. A new session is not noted while there are too many.
    pub(super) fn note(&self, session: u64, stream: &Arc<T>, now: u32) {
        let mut sessions = self.0.lock();
        if sessions.len() < SESSIONS_MAX || sessions.contains_key(&session) {
            sessions.insert(session, Watching { stream: Arc::clone(stream), last: now });
        }
    }

    /// The stream that a session watches.
    pub(super) fn stream(&self, session: u64) -> Option<Arc<T>> {
        self.0.lock().get(&session).map(|watching| Arc::clone(&watching.stream))
    }

    /// Forgets the sessions that were last seen more than this many steps ago.
    pub(super) fn forget_after(&self, steps: u32, now: u32) {
        self.0.lock().retain(|_, watching| now.saturating_sub(watching.last) <= steps);
    }

    /// Forgets all sessions: their numbers change.
    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }
}

/// Sessions, of 32 bytes each.
const SESSIONS_MAX: usize = 1 << 18;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_known_until_it_was_not_seen_for_too_long() {
        let (sessions, one, other) = (Sessions::new(), Arc::new("one"), Arc::new("other"));
        sessions.note(7, &one, 1);
        sessions.note(8, &one, 3);
        sessions.note(8, &other, 4);
        assert_eq!((sessions.stream(7), sessions.stream(8)), (Some(one), Some(other)));
        sessions.forget_after(2, 4);
        assert_eq!((sessions.stream(7), sessions.stream(8).is_some()), (None, true));
        sessions.clear();
        assert_eq!(sessions.stream(8), None);
    }
}
