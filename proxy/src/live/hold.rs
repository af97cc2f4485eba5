//! Blocking reload (HLS section 6.2.5.2): a request for a future version of a playlist blocks until it is
//! there.

use std::time::Duration;

use tidegate_hls::{Directives, Reload, ReloadError};
use tokio::time::Instant;

use super::stream::Stream;

/// How a request with delivery directives stops blocking.
pub(crate) enum Outcome {
    /// The newest version is the response.
    Proceed,
    /// It is a bad request.
    Refused(ReloadError),
    /// It has blocked for three target durations (HLS section 6.2.5.2).
    TimedOut,
}

/// Blocks a request until its directives are satisfied. Cancelling the wait forgets it.
///
/// `may_refuse`: only a tier that faces players and is current refuses a request for a version that is too
/// far ahead. Otherwise the client may know a newer version from another tier, or one from before an encoder
/// restart: it receives the newest version of this tier.
pub(crate) async fn hold(stream: &Stream, directives: &Directives, may_refuse: bool) -> Outcome {
    let mut versions = stream.subscribe();
    let began = Instant::now();
    let mut has_waited = false;
    loop {
        let max = match &*versions.borrow_and_update() {
            None => FIRST_VERSION_WITHIN,
            Some(media) => match media.reload(directives) {
                Reload::Block { max } => max,
                // A request that blocks during an encoder restart was valid when it arrived.
                Reload::Refused(error) if may_refuse && !has_waited => return Outcome::Refused(error),
                Reload::Ready | Reload::Ignored | Reload::Refused(_) => return Outcome::Proceed,
            },
        };
        match tokio::time::timeout_at(began + max, versions.changed()).await {
            Ok(Ok(())) => has_waited = true,
            Ok(Err(_forgotten)) => return Outcome::Proceed,
            Err(_) if versions.borrow().is_none() => return Outcome::Proceed,
            Err(_) => return Outcome::TimedOut,
        }
    }
}

/// The longest time from the end of a first version's fill until the version is published.
const FIRST_VERSION_WITHIN: Duration = Duration::from_secs(1);
