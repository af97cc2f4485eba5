//! Blocking reload (HLS section 6.2.5.2): a request for a version that is still to come waits for it.

use std::time::Duration;

use tidegate_hls::{Directives, Reload, ReloadError};
use tokio::time::Instant;

use super::stream::Stream;

/// What becomes of a request with delivery directives.
pub(crate) enum Held {
    /// It may be answered from what is held.
    Over,
    /// It is a bad request.
    Refused(ReloadError),
    /// It has waited for three target durations (section 6.2.5.2).
    TooLong,
}

/// Holds a request until its directives are satisfied. Cancelling the wait forgets it.
///
/// `may_refuse`: only a tier that faces players and is up to date judges what is too far ahead. Else, whoever asks may
/// know a newer version from elsewhere, or one from before the stream began anew: it is told at once how far this tier is.
pub(crate) async fn hold(stream: &Stream, directives: &Directives, may_refuse: bool) -> Held {
    let mut newest = stream.newest();
    let began = Instant::now();
    let mut record_wait = false;
    loop {
        let max = match &*newest.borrow_and_update() {
            None => FIRST_WITHIN,
            Some(media) => match media.reload(directives) {
                Reload::Block { max } => max,
                // Who waits when a stream begins anew did nothing wrong.
                Reload::Refused(error) if may_refuse && !record_wait => return Held::Refused(error),
                Reload::Ready | Reload::Ignored | Reload::Refused(_) => return Held::Over,
            },
        };
        match tokio::time::timeout_at(began + max, newest.changed()).await {
            Ok(Ok(())) => record_wait = true,
            Ok(Err(_forgotten)) => return Held::Over,
            Err(_) if newest.borrow().is_none() => return Held::Over,
            Err(_) => return Held::TooLong,
        }
    }
}

/// How long a first version may take from being complete to being known.
const FIRST_WITHIN: Duration = Duration::from_secs(1);
