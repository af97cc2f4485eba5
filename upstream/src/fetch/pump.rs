//! The body of a fill, from its first byte to its last: written as it arrives, resumed elsewhere when its
//! upstream breaks or is slow, stopped when no reader wants it any more.

use std::time::Duration;

use bytes::Bytes;
use tidegate_cache::{Broken, FillWriter, Refused};
use tokio::time::{Instant, sleep_until};

use crate::error::UpstreamError;
use crate::fetch::fetch_job::FetchJob;
use crate::fetch::finishing::Finishing;
use crate::fetch::min_rate::Meter;
use crate::fetch::rescue::Rescue;
use crate::fetch::response::UpstreamResponse;
use crate::policy::{Ending, Event};

/// What happens next to a body on its way.
enum BodyEvent {
    Bytes(Bytes),
    End,
    Failed(UpstreamError),
    /// Fewer bytes than the minimum arrived in a window.
    Slow,
}

/// Writes the body as it arrives.
pub(crate) async fn pump(
    job: &FetchJob,
    mut fill_writer: FillWriter,
    mut response: UpstreamResponse,
    mut rescue: Rescue<'_>,
    mut finishing: Finishing,
) -> Ending {
    let mut meter = rescue.meter(&response);
    let mut unwanted = None;
    loop {
        let keeping = (&mut unwanted, &mut finishing);
        let next = next_event(job, fill_writer, &mut response, &mut meter, keeping).await;
        let Some((writer, event)) = next else { return Ending::Abandoned };
        fill_writer = writer;
        match event {
            BodyEvent::Bytes(bytes) if fill_writer.is_last(&bytes) => {
                job.record_end(&fill_writer, Ending::Stored);
                fill_writer.complete_with(bytes);
                // Read to its end, so that the connection goes back to its pool.
                let _end = response.next().await;
                return Ending::Stored;
            }
            BodyEvent::Bytes(bytes) => {
                if let Err(refused) = fill_writer.append(bytes) {
                    job.record_end(&fill_writer, Ending::Broken);
                    fill_writer.end_too_large(match refused {
                        Refused::TooLarge { .. } => job.remember_large,
                        Refused::NoRoom | Refused::Purged => Duration::ZERO,
                    });
                    return Ending::Broken;
                }
            }
            BodyEvent::End => {
                job.record_end(&fill_writer, Ending::Stored);
                fill_writer.complete();
                return Ending::Stored;
            }
            BodyEvent::Slow => {
                let error = UpstreamError::Slow;
                // A slow body is better than none: it goes on until another upstream takes over.
                let has_another = resume(job, &fill_writer, &mut rescue, &mut response, error).await;
                meter = has_another.then(|| rescue.meter(&response)).flatten();
            }
            BodyEvent::Failed(error) => {
                if !resume(job, &fill_writer, &mut rescue, &mut response, error).await {
                    let (path, from, upstream) =
                        (job.request.path(), written(&fill_writer), response.upstream().name());
                    tracing::debug!(path, from, %upstream, %error, "body broken, no upstream can resume");
                    job.record_end(&fill_writer, Ending::Broken);
                    fill_writer.break_off(Broken(error.token()));
                    return Ending::Broken;
                }
                meter = rescue.meter(&response);
            }
        }
    }
}

/// Waits for what happens next to the body. Returns the writer with it; `None` if the fill was abandoned.
async fn next_event(
    job: &FetchJob,
    mut fill_writer: FillWriter,
    response: &mut UpstreamResponse,
    meter: &mut Option<Meter>,
    (unwanted, finishing): (&mut Option<Unwanted>, &mut Finishing),
) -> Option<(FillWriter, BodyEvent)> {
    let mut read = std::pin::pin!(response.next());
    let mut keep = false;
    loop {
        let due = meter.as_ref().map(Meter::due);
        tokio::select! {
            biased;
            read = &mut read => return Some((fill_writer, arrived(read, meter.as_mut()))),
            () = until(due) => {
                if meter.as_mut().is_some_and(|meter| meter.is_slow(Instant::now())) {
                    return Some((fill_writer, BodyEvent::Slow));
                }
            }
            () = fill_writer.until_unwanted(), if !keep => {
                keep = worth_keeping(&fill_writer, job.finish_within, unwanted) && finishing.admit();
                if !keep {
                    let served = fill_writer.readers_total();
                    match fill_writer.abandon() {
                        Ok(()) => {
                            job.recorder.record(Event::Ended(Ending::Abandoned, served));
                            return None;
                        }
                        Err(joined) => fill_writer = joined,
                    }
                }
            }
        }
    }
}

fn arrived(read: Result<Option<Bytes>, UpstreamError>, meter: Option<&mut Meter>) -> BodyEvent {
    match read {
        Ok(Some(bytes)) => {
            if let Some(meter) = meter {
                meter.add(bytes.len());
            }
            BodyEvent::Bytes(bytes)
        }
        Ok(None) => BodyEvent::End,
        Err(error) => BodyEvent::Failed(error),
    }
}

/// Replaces `response` by one from another upstream that resumes the body. Returns whether there is one.
async fn resume(
    job: &FetchJob,
    fill_writer: &FillWriter,
    rescue: &mut Rescue<'_>,
    response: &mut UpstreamResponse,
    error: UpstreamError,
) -> bool {
    let from = written(fill_writer);
    let Some(next) = rescue.resume(from).await else { return false };
    let upstream = response.upstream().name();
    tracing::debug!(path = job.request.path(), from, %upstream, %error, next = %next.upstream().name(), "rescued");
    if error == UpstreamError::Slow {
        // A broken response has recorded its failure itself.
        response.fail(error);
    }
    job.recorder.record(Event::Rescued(error));
    *response = next;
    true
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn written(fill_writer: &FillWriter) -> u64 {
    fill_writer.object().map_or(0, |object| object.body.len())
}

/// When a body of unknown length had no reader for the first time.
struct Unwanted {
    since: Instant,
    /// Its bytes by then.
    there: u64,
}

/// How long a body of unknown length continues without a reader: longer than a segment that is being written.
const UNWANTED_FOR: Duration = Duration::from_secs(30);

/// Whether the rest of a fill without readers is worth fetching: little is missing, or most of it is there. A
/// body of unknown length, such as a segment that is still being written, continues for as many bytes as may
/// be missing otherwise, and for a limited time.
fn worth_keeping(fill_writer: &FillWriter, finish_within: u64, unwanted: &mut Option<Unwanted>) -> bool {
    let Some(object) = fill_writer.object() else { return true };
    let there = object.body.len();
    let Some(full) = object.body.full_len() else {
        let unwanted = unwanted.get_or_insert_with(|| Unwanted { since: Instant::now(), there });
        return there - unwanted.there < finish_within && unwanted.since.elapsed() < UNWANTED_FOR;
    };
    let missing = full.saturating_sub(there);
    missing <= finish_within || missing <= there
}
