//! One fill, from the first candidate asked to the last byte stored.
//!
//! 1. Ask the candidates in order until one gives an answer that the [`Desk`] takes. What is known to come any moment
//!    is asked for again after a pause.
//! 2. Give out its head, then every byte as it comes.
//! 3. When a source breaks in the middle, go on from the same byte elsewhere (`rescue.rs`).
//! 4. When nobody wants the fill any more and the rest is long, stop.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tidegate_cache::{Broken, Failure, Filling, Head, Lifetimes, Object, Refused, Variant};
use tokio::sync::oneshot;

use crate::asking::{Asking, Outcome};
use crate::exchange::{Ask, Interim, Reply, content_range};
use crate::rescue::Rescue;
use crate::source::{Source, Trouble};

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
    /// Read all of it first, then ask [`Desk::inspect`]: a playlist tells its lifetime inside.
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
    Refuse(Trouble),
}

/// What to do with an answer that was read to its end first.
#[derive(Debug, Clone)]
pub enum Inspection {
    /// Store it.
    Store(Box<Kept>),
    /// It is a failure: try the next candidate.
    Refuse(Trouble),
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
    FailedOver(Trouble),
    /// A body that broke went on at another source.
    Rescued(Trouble),
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
    Passed,
    /// No source could answer.
    Failed,
    /// The body broke, and no source could go on.
    Broken,
    /// Nobody wanted it any more.
    Abandoned,
}

/// Who knows what answers mean. The proxy implements it for one request's site.
pub trait Desk: Send + Sync {
    /// Rules on an answer by its head.
    fn rule(&self, head: &Head) -> Ruling;
    /// Rules on an answer that was collected.
    fn inspect(&self, head: &Head, body: Bytes) -> Inspection;
    /// The head and lifetimes of `stale` after a 304.
    ///
    /// # Errors
    /// When it cannot be given out all the same: try the next candidate.
    fn renew(&self, stale: &Object, head: &Head) -> Result<(Head, Lifetimes), Trouble>;
    /// The head as it is kept: end-to-end fields only.
    fn kept(&self, head: &Head) -> Head;
    /// All candidates were asked `rounds` times in vain, the last one with this trouble: how long to wait before they are
    /// asked once more, if they are.
    fn again(&self, trouble: Trouble, rounds: usize) -> Option<Duration>;
    /// The failure that viewers are told of and that is remembered.
    fn failure(&self, trouble: Trouble, source: Option<&Source>, head: Option<&Head>) -> Failure;
    /// Counts an event.
    fn note(&self, event: Event);
}

/// What a fill is to fetch.
#[derive(Debug)]
pub struct Job {
    /// The request, conditional where there is an old object.
    pub ask: Ask,
    /// Whom to ask, in order.
    pub candidates: Vec<Arc<Source>>,
    /// How many of them are asked at most, rescues included, unless the desk has them asked again.
    pub tries_max: usize,
    /// An unwanted fill goes on when at most so many bytes are missing.
    pub finish_within: u64,
    /// For how long a key is remembered as passing when its object turned out too large.
    pub remember_large: Duration,
}

/// The one whose request caused a fill, for what is meant for nobody else.
#[derive(Debug, Default)]
pub struct Asker {
    /// Takes the informational answers (1xx).
    pub interim: Option<Interim>,
    /// Takes the answer when it cannot be shared; not there where the asker may not have it either.
    pub own: Option<oneshot::Sender<Reply>>,
}

/// Makes one fill.
pub async fn fill(desk: &Arc<impl Desk + 'static>, job: Job, mut filling: Filling, asker: Asker) {
    let mut last: Last<'_> = (Trouble::Nobody, None, None);
    let round: Vec<_> = job.candidates.iter().take(job.tries_max).enumerate().collect();
    for (tried, (index, source)) in round.iter().cycle().enumerate() {
        if tried > 0 && *index == 0 {
            let Some(pause) = desk.again(last.0, tried / round.len()) else { break };
            tokio::time::sleep(pause).await;
        }
        if let Some(failed) = last.1 {
            fail_over(&**desk, &job.ask, last.0, failed, source);
        }
        match attempt(desk, &job, source, &mut filling, asker.interim.as_ref()).await {
            // Boxed, because a fill that is asking need not hold the room for streaming.
            Attempt::Streaming(reply) => {
                let rescue = Rescue::of(&job, &reply, index + 1);
                return Box::pin(pump(desk, &job, filling, reply, rescue)).await;
            }
            Attempt::Filled(body) => {
                ended(&**desk, &filling, Ending::Stored);
                return filling.complete_with(body);
            }
            Attempt::Renewed(head, lifetimes) => {
                ended(&**desk, &filling, Ending::Renewed);
                return filling.renew(head, lifetimes, Arc::clone(source.name()));
            }
            Attempt::Pass(reply, remember) => {
                ended(&**desk, &filling, Ending::Passed);
                return hand_over(filling, reply, asker.own, remember);
            }
            Attempt::Failed(trouble, head) => {
                last = (trouble, Some(source), head);
            }
        }
    }
    let (trouble, source, head) = last;
    ended(&**desk, &filling, Ending::Failed);
    filling.fail(desk.failure(trouble, source.map(|source| &**source), head.as_ref()));
}

/// Asks for one viewer only, who takes the informational answers by `interim`. Safe methods go to the next candidate
/// when one fails.
pub async fn pass(desk: &Arc<impl Desk + 'static>, job: &Job, interim: &Interim) -> Result<Reply, Failure> {
    let mut last: Last<'_> = (Trouble::Nobody, None, None);
    for source in job.candidates.iter().take(job.tries_max) {
        if let Some(failed) = last.1 {
            fail_over(&**desk, &job.ask, last.0, failed, source);
        }
        match Reply::open(Asking::begin(desk), source, &job.ask, Some(interim)).await {
            Ok(mut reply) => match desk.rule(&reply.head) {
                Ruling::Refuse(trouble) => {
                    reply.refuse(trouble);
                    last = (trouble, Some(source), Some(reply.head));
                }
                _ => return Ok(reply),
            },
            Err(trouble) => last = (trouble, Some(source), None),
        }
    }
    let (trouble, source, head) = last;
    Err(desk.failure(trouble, source.map(|source| &**source), head.as_ref()))
}

/// What was wrong with the candidate that was asked last, and the head of its answer if that was wrong.
type Last<'a> = (Trouble, Option<&'a Arc<Source>>, Option<Head>);

/// Counts that `next` is asked because of what was wrong with `failed`.
pub fn fail_over(desk: &impl Desk, ask: &Ask, trouble: Trouble, failed: &Source, next: &Source) {
    desk.note(Event::FailedOver(trouble));
    let (upstream, next) = (failed.name(), next.name());
    tracing::debug!(path = ask.path(), %upstream, %trouble, %next, "failed over");
}

/// How asking one source ended.
enum Attempt {
    /// The head is out, the body follows.
    Streaming(Reply),
    /// The head is out, and this is the whole body.
    Filled(Bytes),
    /// The old object is current.
    Renewed(Head, Lifetimes),
    /// The answer belongs to the asker alone.
    Pass(Reply, Duration),
    /// Nothing was given out: the next candidate may be asked.
    Failed(Trouble, Option<Head>),
}

async fn attempt(
    desk: &Arc<impl Desk + 'static>,
    job: &Job,
    source: &Arc<Source>,
    filling: &mut Filling,
    interim: Option<&Interim>,
) -> Attempt {
    let mut reply = match Reply::open(Asking::begin(desk), source, &job.ask, interim).await {
        Ok(reply) => reply,
        Err(trouble) => return Attempt::Failed(trouble, None),
    };
    if reply.head.status == StatusCode::NOT_MODIFIED
        && let Some(stale) = filling.stale()
    {
        // Read to its (empty) end, so that the connection goes back to its pool.
        let _nothing = reply.next().await;
        return match desk.renew(stale, &reply.head) {
            Ok((head, lifetimes)) => Attempt::Renewed(head, lifetimes),
            Err(trouble) => Attempt::Failed(trouble, None),
        };
    }
    let is_asked_for = match (reply.head.status, &job.ask.span) {
        (StatusCode::PARTIAL_CONTENT, Some(span)) => match content_range(&reply.head.headers) {
            Some((sent, _)) if sent == *span => true,
            // The resource ends before the piece does: either it is still growing, or nobody has listed such a piece.
            Some((sent, _)) if sent.start() == span.start() && sent.end() < span.end() => {
                let trouble = Trouble::Status(StatusCode::RANGE_NOT_SATISFIABLE);
                return match desk.again(trouble, 1) {
                    Some(_) => refuse(reply, trouble),
                    None => Attempt::Pass(reply, Duration::ZERO),
                };
            }
            _ => false,
        },
        (StatusCode::OK, Some(_)) | (StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT, _) => false,
        _ => true,
    };
    if !is_asked_for {
        return refuse(reply, Trouble::Unusable("it answers a question that was not asked"));
    }
    match desk.rule(&reply.head) {
        Ruling::Refuse(trouble) => {
            drain(&mut reply).await;
            reply.refuse(trouble);
            Attempt::Failed(trouble, Some(reply.head))
        }
        Ruling::Pass { remember } => Attempt::Pass(reply, remember),
        Ruling::Store { lifetimes, variant } => {
            let head = desk.kept(&reply.head);
            match filling.publish(head, lifetimes, variant, reply.promised(), Arc::clone(source.name())) {
                Ok(()) => Attempt::Streaming(reply),
                Err(Refused::TooLarge { .. }) => Attempt::Pass(reply, job.remember_large),
                Err(Refused::NoRoom) => Attempt::Pass(reply, Duration::ZERO),
            }
        }
        Ruling::Collect { max } => collect(&**desk, source, filling, reply, max).await,
    }
}

/// Reads an answer to its end before anything of it is given out, so that a broken or wrong one costs no viewer
/// anything.
async fn collect(
    desk: &impl Desk,
    source: &Arc<Source>,
    filling: &mut Filling,
    mut reply: Reply,
    max: u64,
) -> Attempt {
    let body = match reply.collect(max).await {
        Ok(body) => body,
        Err(trouble) => return Attempt::Failed(trouble, None),
    };
    match desk.inspect(&reply.head, body) {
        Inspection::Refuse(trouble) => refuse(reply, trouble),
        Inspection::Store(kept) => {
            let Kept { head, body, lifetimes, variant } = *kept;
            let len = body.len() as u64;
            let published = filling.publish(head, lifetimes, variant, Some(len), Arc::clone(source.name()));
            match published {
                Ok(()) => Attempt::Filled(body),
                Err(_no_room) => refuse(reply, Trouble::Unusable("there is no room for it")),
            }
        }
    }
}

/// Counts an answer as failed that has come and is of no use.
fn refuse(mut reply: Reply, trouble: Trouble) -> Attempt {
    reply.refuse(trouble);
    Attempt::Failed(trouble, None)
}

/// A short error body is read, so that its connection can be used again; a long one is not worth it.
async fn drain(reply: &mut Reply) {
    if reply.promised().is_some_and(|length| length <= 16 * 1024) {
        let _discarded = reply.collect(16 * 1024).await;
    }
}

fn hand_over(filling: Filling, reply: Reply, own: Option<oneshot::Sender<Reply>>, remember: Duration) {
    if let Some(own) = own {
        // When the asker has left, the answer is dropped with the channel.
        let _left = own.send(reply);
    }
    filling.pass(remember);
}

/// Writes the body as it arrives.
async fn pump(
    desk: &Arc<impl Desk + 'static>,
    job: &Job,
    mut filling: Filling,
    mut reply: Reply,
    mut rescue: Rescue,
) {
    loop {
        let read = {
            let mut read = std::pin::pin!(reply.next());
            let mut keep = false;
            loop {
                tokio::select! {
                    biased;
                    read = &mut read => break read,
                    () = filling.deserted(), if !keep => {
                        keep = worth_keeping(&filling, job.finish_within);
                        if !keep {
                            let served = filling.served();
                            match filling.abandon() {
                                Ok(()) => return desk.note(Event::Ended(Ending::Abandoned, served)),
                                Err(joined) => filling = joined,
                            }
                        }
                    }
                }
            }
        };
        match read {
            Ok(Some(bytes)) if filling.is_last(&bytes) => {
                ended(&**desk, &filling, Ending::Stored);
                filling.complete_with(bytes);
                // Read to its end, so that the connection goes back to its pool.
                let _end = reply.next().await;
                return;
            }
            Ok(Some(bytes)) => {
                if let Err(refused) = filling.append(bytes) {
                    ended(&**desk, &filling, Ending::Broken);
                    return match refused {
                        Refused::TooLarge { .. } => filling.outgrow(job.remember_large),
                        Refused::NoRoom => filling.outgrow(Duration::ZERO),
                    };
                }
            }
            Ok(None) => {
                ended(&**desk, &filling, Ending::Stored);
                return filling.complete();
            }
            Err(trouble) => {
                let (path, from) = (job.ask.path(), written(&filling));
                let upstream = Arc::clone(reply.source().name());
                let Some(next) = rescue.go_on(desk, from).await else {
                    tracing::debug!(path, from, %upstream, %trouble, "broke off, and nobody has the rest");
                    ended(&**desk, &filling, Ending::Broken);
                    return filling.break_off(Broken(trouble.token()));
                };
                tracing::debug!(path, from, %upstream, %trouble, next = %next.source().name(), "rescued");
                desk.note(Event::Rescued(trouble));
                reply = next;
            }
        }
    }
}

fn ended(desk: &impl Desk, filling: &Filling, ending: Ending) {
    desk.note(Event::Ended(ending, filling.served()));
}

fn written(filling: &Filling) -> u64 {
    filling.object().map_or(0, |object| object.body.len())
}

/// Whether the rest of a fill that nobody waits for is worth fetching: little is missing, or most of it is there.
fn worth_keeping(filling: &Filling, finish_within: u64) -> bool {
    let Some(object) = filling.object() else { return true };
    let there = object.body.len();
    object.body.full_len().is_some_and(|full| {
        let missing = full.saturating_sub(there);
        missing <= finish_within || missing <= there
    })
}
