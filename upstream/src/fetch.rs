//! One fill, from the first candidate asked to the last byte stored.
//!
//! 1. Ask the candidates in order (`line.rs`) until one gives an answer that the [`FillPolicy`] takes; when one is late, the
//!    next is asked as well (`hedge.rs`). What is known to come any moment is asked for again after a pause.
//! 2. Give out its head, then every byte as it comes.
//! 3. When a source breaks in the middle, go on from the same byte elsewhere (`rescue.rs`).
//! 4. When nobody wants the fill any more and the rest is long, stop.

pub mod attempts;
pub mod budget;
pub mod exchange;
mod hedge;
pub mod in_flight;
pub mod limiter;
pub mod min_rate;
mod pump;
mod rescue;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tidegate_cache::{Failure, FillWriter, Head, Lifetimes, Object, Refused, Variant};
use tokio::sync::oneshot;

use crate::error::UpstreamError;
use crate::fetch::attempts::Attempts;
use crate::fetch::budget::Budget;
use crate::fetch::exchange::{Interim, UpstreamRequest, UpstreamResponse, content_range, tells_of_others};
use crate::fetch::in_flight::{InFlight, Outcome};
use crate::fetch::pump::pump;
use crate::fetch::rescue::Rescue;
use crate::upstream::Upstream;

/// What to do with an answer, judged by its head.
#[derive(Debug, Clone)]
pub enum Ruling {
    /// Store it and stream it on while it arrives.
    Store {
        /// How long it may live.
        lifetimes: Lifetimes,
        /// What it varies by.
        variant: Option<Variant>,
    },
    /// Read all of it first, then ask [`FillPolicy::inspect`]: a playlist tells its lifetime inside.
    Collect {
        /// Bytes that it may have.
        max: u64,
    },
    /// It cannot be shared.
    Pass {
        /// For how long the key is remembered as such.
        remember: Duration,
    },
    /// It is a failure: try the next candidate.
    Refuse(UpstreamError),
}

/// What to do with an answer that was read to its end first.
#[derive(Debug, Clone)]
pub enum Inspection {
    /// Store it.
    Store(Box<Kept>),
    /// It is a failure: try the next candidate.
    Refuse(UpstreamError),
}

/// A collected answer as it is kept.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its head.
    pub head: Head,
    /// Its body: the one that came, or another in its place.
    pub body: Bytes,
    /// How long it may live.
    pub lifetimes: Lifetimes,
    /// What it varies by.
    pub variant: Option<Variant>,
}

/// Something worth counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A source is asked.
    Asked,
    /// That request is over.
    Over(Outcome),
    /// The next candidate is asked because of it.
    FailedOver(UpstreamError),
    /// A body that broke went on at another source.
    Rescued(UpstreamError),
    /// A source was late, and another was asked as well.
    Hedged,
    /// That other one answered first.
    HedgeWon,
    /// Another candidate would have been asked, and the budget for that is spent.
    Unaffordable,
    /// A fill ended; so many tickets were served by it.
    Ended(Ending, usize),
}

/// How a fill ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The object is stored.
    Stored,
    /// The old object was found to be current.
    Renewed,
    /// The answer cannot be shared.
    Permit,
    /// No source could answer.
    Failed,
    /// The body broke, and no source could go on.
    Broken,
    /// Nobody wanted it any more.
    Abandoned,
}

/// Who knows what answers mean. The proxy implements it for one request's site.
pub trait FillPolicy: Send + Sync {
    /// Rules on an answer by its head.
    fn rule(&self, head: &Head) -> Ruling;
    /// Rules on an answer that was collected.
    fn inspect(&self, head: &Head, body: Bytes) -> Inspection;
    /// The head and lifetimes of `stale` after a 304.
    ///
    /// # Errors
    /// When it cannot be given out all the same: try the next candidate.
    fn renew(&self, stale: &Object, head: &Head) -> Result<(Head, Lifetimes), UpstreamError>;
    /// The head as it is kept: end-to-end fields only.
    fn kept(&self, head: &Head) -> Head;
    /// All candidates were asked `rounds` times in vain, the last one with this trouble, and were `waited` for between
    /// that: how long to wait at most before they are asked once more, if they are. How much of that is waited is drawn
    /// (full jitter).
    fn again(&self, error: UpstreamError, rounds: usize, waited: Duration) -> Option<Duration>;
    /// What came from `upstream` is of no use, though nothing is wrong with the source itself.
    fn refused(&self, upstream: &Upstream, error: UpstreamError);
    /// The failure that viewers are told of and that is remembered.
    fn failure(&self, error: UpstreamError, upstream: Option<&Upstream>, head: Option<&Head>) -> Failure;
    /// Counts an event.
    fn note(&self, event: Event);
}

/// What a fill is to fetch.
#[derive(Debug)]
pub struct FillRequest {
    /// The request, conditional where there is an old object.
    pub ask: UpstreamRequest,
    /// Whom to ask, in order.
    pub candidates: Vec<Arc<Upstream>>,
    /// What pays for asking more than one of them.
    pub budget: Arc<Budget>,
    /// How many of them are asked at most, rescues included, unless the desk has them asked again.
    pub tries_max: usize,
    /// An unwanted fill goes on when at most so many bytes are missing.
    pub finish_within: u64,
    /// For how long a key is remembered as passing when its object turned out too large.
    pub remember_large: Duration,
}

/// The one whose request caused a fill, for what is meant for nobody else.
#[derive(Debug, Default)]
pub struct Requester {
    /// Takes the informational answers (1xx).
    pub interim: Option<Interim>,
    /// Takes the answer when it cannot be shared; not there where the asker may not have it either.
    pub own: Option<oneshot::Sender<UpstreamResponse>>,
}

/// Makes one fill.
pub async fn fill(
    policy: &Arc<impl FillPolicy + 'static>,
    job: FillRequest,
    mut fill_writer: FillWriter,
    requester: Requester,
) {
    let mut attempts = Attempts::of(&job);
    let mut last: Option<Last<'_>> = None;
    let (mut rounds, mut waited) = (0, Duration::ZERO);
    loop {
        let Some(upstream) = attempts.next(&**policy) else {
            rounds += 1;
            let Some(pause) = last.as_ref().and_then(|last| policy.again(last.0, rounds, waited)) else {
                break;
            };
            let pause = pause.mul_f64(fastrand::f64());
            waited += pause;
            tokio::time::sleep(pause).await;
            attempts.again(job.tries_max);
            continue;
        };
        if let Some((error, Some(failed), _)) = &last {
            fail_over(&**policy, &job.ask, *error, failed, upstream);
        }
        let ask =
            if attempts.is_backup() { Cow::Owned(job.ask.as_backup()) } else { Cow::Borrowed(&job.ask) };
        let (upstream, attempt) = attempt(
            policy,
            &job,
            &ask,
            &mut attempts,
            upstream,
            &mut fill_writer,
            requester.interim.as_ref(),
        )
        .await;
        match attempt {
            // Boxed, because a fill that is asking need not hold the room for streaming.
            Attempt::Streaming(reply) => {
                let rescue = Rescue::of(&job, &reply, &attempts);
                return Box::pin(pump(policy, &job, fill_writer, reply, rescue)).await;
            }
            Attempt::Filled(body) => {
                ended(&**policy, &fill_writer, Ending::Stored);
                return fill_writer.complete_with(body);
            }
            Attempt::Renewed(head, lifetimes) => {
                ended(&**policy, &fill_writer, Ending::Renewed);
                return fill_writer.renew(head, lifetimes, Arc::clone(upstream.name()));
            }
            Attempt::Pass(reply, remember) => {
                ended(&**policy, &fill_writer, Ending::Permit);
                return hand_over(fill_writer, reply, requester.own, remember);
            }
            Attempt::Failed(error, head) => {
                attempts.note_failure(head.as_ref().is_some_and(|head| tells_of_others(upstream, head)));
                last = Some((error, Some(upstream), head));
            }
        }
    }
    let (error, upstream, head) = last.unwrap_or_else(|| no_one(&attempts));
    ended(&**policy, &fill_writer, Ending::Failed);
    fill_writer.fail(policy.failure(error, upstream.map(|upstream| &**upstream), head.as_ref()));
}

/// Asks for one viewer only, who takes the informational answers by `interim`. Safe methods go to the next candidate
/// when one fails.
pub async fn pass(
    policy: &Arc<impl FillPolicy + 'static>,
    job: &FillRequest,
    interim: &Interim,
) -> Result<UpstreamResponse, Failure> {
    let mut attempts = Attempts::of(job);
    let mut last: Option<Last<'_>> = None;
    while let Some(upstream) = attempts.next(&**policy) {
        if let Some((error, Some(failed), _)) = &last {
            fail_over(&**policy, &job.ask, *error, failed, upstream);
        }
        match UpstreamResponse::open(InFlight::begin(policy), upstream, &job.ask, Some(interim)).await {
            Ok(mut reply) => match policy.rule(&reply.head) {
                Ruling::Refuse(error) => {
                    reply.refuse(error);
                    last = Some((error, Some(upstream), Some(reply.head)));
                }
                _ => return Ok(reply),
            },
            Err(error) => last = Some((error, Some(upstream), None)),
        }
    }
    let (error, upstream, head) = last.unwrap_or_else(|| no_one(&attempts));
    Err(policy.failure(error, upstream.map(|upstream| &**upstream), head.as_ref()))
}

fn no_one<'a>(attempts: &Attempts<'a>) -> Last<'a> {
    let (error, upstream) = attempts.nobody();
    (error, upstream, None)
}

/// What was wrong with the candidate that was asked last, and the head of its answer if that was wrong.
type Last<'a> = (UpstreamError, Option<&'a Arc<Upstream>>, Option<Head>);

/// Counts that `next` is asked because of what was wrong with `failed`.
pub fn fail_over(
    policy: &impl FillPolicy,
    ask: &UpstreamRequest,
    error: UpstreamError,
    failed: &Upstream,
    next: &Upstream,
) {
    policy.note(Event::FailedOver(error));
    let (upstream, next) = (failed.name(), next.name());
    tracing::debug!(path = ask.path(), %upstream, %error, %next, "failed over");
}

/// How asking one source ended.
enum Attempt {
    /// The head is out, the body follows.
    Streaming(UpstreamResponse),
    /// The head is out, and this is the whole body.
    Filled(Bytes),
    /// The old object is current.
    Renewed(Head, Lifetimes),
    /// The answer belongs to the asker alone.
    Pass(UpstreamResponse, Duration),
    /// Nothing was given out: the next candidate may be asked.
    Failed(UpstreamError, Option<Head>),
}

/// Asks `upstream`, or whoever in line answers in its place; tells whose answer it was.
async fn attempt<'a>(
    policy: &Arc<impl FillPolicy + 'static>,
    job: &FillRequest,
    ask: &UpstreamRequest,
    attempts: &mut Attempts<'a>,
    upstream: &'a Arc<Upstream>,
    fill_writer: &mut FillWriter,
    interim: Option<&Interim>,
) -> (&'a Arc<Upstream>, Attempt) {
    let (upstream, opened) = hedge::open(policy, attempts, upstream, ask, interim).await;
    let attempt = match opened {
        Ok(reply) => take(policy, job, upstream, reply, fill_writer).await,
        Err(error) => Attempt::Failed(error, None),
    };
    (upstream, attempt)
}

/// Makes of an answer what the desk rules.
async fn take(
    policy: &Arc<impl FillPolicy + 'static>,
    job: &FillRequest,
    upstream: &Arc<Upstream>,
    mut reply: UpstreamResponse,
    fill_writer: &mut FillWriter,
) -> Attempt {
    if reply.head.status == StatusCode::NOT_MODIFIED
        && let Some(stale) = fill_writer.stale()
    {
        // Read to its (empty) end, so that the connection goes back to its pool.
        let _nothing = reply.next().await;
        return match policy.renew(stale, &reply.head) {
            Ok((head, lifetimes)) => Attempt::Renewed(head, lifetimes),
            Err(error) => {
                policy.refused(upstream, error);
                Attempt::Failed(error, None)
            }
        };
    }
    let is_asked_for = match (reply.head.status, &job.ask.span) {
        (StatusCode::PARTIAL_CONTENT, Some(span)) => match content_range(&reply.head.headers) {
            Some((sent, _)) if sent == *span => true,
            // The resource ends before the piece does: either it is still growing, or nobody has listed such a piece.
            Some((sent, _)) if sent.start() == span.start() && sent.end() < span.end() => {
                let error = UpstreamError::Status(StatusCode::RANGE_NOT_SATISFIABLE);
                return match policy.again(error, 1, Duration::ZERO) {
                    Some(_) => refuse(reply, error),
                    None => Attempt::Pass(reply, Duration::ZERO),
                };
            }
            _ => false,
        },
        (StatusCode::OK, Some(_)) | (StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT, _) => false,
        _ => true,
    };
    if !is_asked_for {
        return refuse(reply, UpstreamError::Unusable("it answers a question that was not asked"));
    }
    match policy.rule(&reply.head) {
        Ruling::Refuse(error) => {
            drain(&mut reply).await;
            reply.refuse(error);
            Attempt::Failed(error, Some(reply.head))
        }
        Ruling::Pass { remember } => Attempt::Pass(reply, remember),
        Ruling::Store { lifetimes, variant } => {
            let head = policy.kept(&reply.head);
            match fill_writer.publish(head, lifetimes, variant, reply.promised(), Arc::clone(upstream.name()))
            {
                Ok(()) => Attempt::Streaming(reply),
                Err(Refused::TooLarge { .. }) => Attempt::Pass(reply, job.remember_large),
                Err(Refused::NoRoom) => Attempt::Pass(reply, Duration::ZERO),
            }
        }
        Ruling::Collect { max } => collect(&**policy, upstream, fill_writer, reply, max).await,
    }
}

/// Reads an answer to its end before anything of it is given out, so that a broken or wrong one costs no viewer
/// anything.
async fn collect(
    policy: &impl FillPolicy,
    upstream: &Arc<Upstream>,
    fill_writer: &mut FillWriter,
    mut reply: UpstreamResponse,
    max: u64,
) -> Attempt {
    let body = match reply.collect(max).await {
        Ok(body) => body,
        Err(error) => return Attempt::Failed(error, None),
    };
    match policy.inspect(&reply.head, body) {
        Inspection::Refuse(error) => {
            policy.refused(upstream, error);
            refuse(reply, error)
        }
        Inspection::Store(kept) => {
            let Kept { head, body, lifetimes, variant } = *kept;
            let len = body.len() as u64;
            let published =
                fill_writer.publish_whole(head, lifetimes, variant, len, Arc::clone(upstream.name()));
            match published {
                Ok(()) => Attempt::Filled(body),
                Err(_no_room) => refuse(reply, UpstreamError::Unusable("there is no room for it")),
            }
        }
    }
}

/// Counts an answer as failed that has come and is of no use.
fn refuse(mut reply: UpstreamResponse, error: UpstreamError) -> Attempt {
    reply.refuse(error);
    Attempt::Failed(error, None)
}

/// A short error body is read, so that its connection can be used again; a long one is not worth it.
async fn drain(reply: &mut UpstreamResponse) {
    if reply.promised().is_some_and(|length| length <= 16 * 1024) {
        let _discarded = reply.collect(16 * 1024).await;
    }
}

fn hand_over(
    fill_writer: FillWriter,
    reply: UpstreamResponse,
    own: Option<oneshot::Sender<UpstreamResponse>>,
    remember: Duration,
) {
    if let Some(own) = own {
        // When the asker has left, the answer is dropped with the channel.
        let _left = own.send(reply);
    }
    fill_writer.pass(remember);
}

/// Counts how a fill ends, and how many it has served.
pub(crate) fn ended(policy: &impl FillPolicy, fill_writer: &FillWriter, ending: Ending) {
    policy.note(Event::Ended(ending, fill_writer.served()));
}
