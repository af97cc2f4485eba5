//! Sends notices of streams to a URL, one after the other, so that they arrive in order.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::Full;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::notices::{Comparison, Notice};
use crate::clock;
use crate::config::audience::Webhook;
use crate::http_client::{AnyError, Client};
use crate::observe::metrics::WebhookResult;
use crate::tier::Tier;

/// What a webhook has to notice, and the queue of its notices.
#[derive(Debug)]
pub(crate) struct Notifier {
    comparison: Comparison,
    queue: mpsc::Sender<Notice>,
}

/// A notice, and where and when it was noticed.
#[derive(Serialize)]
struct Message<'a> {
    #[serde(flatten)]
    notice: &'a Notice,
    node: &'a str,
    /// Seconds since 1970.
    time: u64,
}

impl Notifier {
    /// Starts to send; `None` if no webhook is configured.
    pub(crate) fn start(tier: &Arc<Tier>) -> Option<Self> {
        let webhook = tier.settings().audience.webhook.clone()?;
        let (queue, notices) = mpsc::channel(QUEUE_MAX);
        let comparison = Comparison::new(&webhook.thresholds);
        let sender = Arc::clone(tier);
        tier.tasks().spawn(async move { send_all(&sender, &webhook, notices).await });
        Some(Self { comparison, queue })
    }

    /// Queues what the step that has ended has changed.
    pub(crate) fn end_step(&mut self, tier: &Tier) {
        for notice in self.comparison.notices(&tier.audience().counted_streams(usize::MAX)) {
            if self.queue.try_send(notice).is_err() {
                tier.metrics().audience.webhook(WebhookResult::Dropped);
            }
        }
    }
}

/// Sends all notices, until no more can come.
async fn send_all(tier: &Tier, webhook: &Webhook, mut notices: mpsc::Receiver<Notice>) {
    let sender = match Sender::new(webhook) {
        Ok(sender) => sender,
        Err(error) => {
            tracing::error!(node = tier.node(), %error, "no notice of a stream can be sent");
            return;
        }
    };
    while let Some(notice) = notices.recv().await {
        let since_1970 = clock::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let message = Message { notice: &notice, node: tier.node(), time: since_1970.as_secs() };
        let body = Bytes::from(serde_json::to_vec(&message).unwrap_or_default());
        let sending = tier.draining().token().run_until_cancelled(sender.deliver(&body)).await;
        let result = match sending {
            Some(Ok(())) => WebhookResult::Success,
            Some(Err(error)) => {
                tracing::warn!(node = tier.node(), %error, "a notice of a stream was not received");
                WebhookResult::Failure
            }
            None => WebhookResult::Dropped,
        };
        tier.metrics().audience.webhook(result);
    }
}

struct Sender<'a> {
    client: Client,
    url: &'a str,
    authorization: Option<HeaderValue>,
}

impl<'a> Sender<'a> {
    fn new(webhook: &'a Webhook) -> Result<Self, AnyError> {
        let client = Client::new(webhook.ca.as_deref())?;
        Ok(Self { client, url: &webhook.url, authorization: webhook.authorization()? })
    }

    /// Sends a message until it is received, a few times at most.
    async fn deliver(&self, body: &Bytes) -> Result<(), AnyError> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            if self.send(body).await.is_ok() {
                return Ok(());
            }
            sleep(pause).await;
            pause *= 4;
        }
        self.send(body).await
    }

    async fn send(&self, body: &Bytes) -> Result<(), AnyError> {
        let mut request = Request::post(self.url)
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.header(header::CONTENT_LENGTH, body.len()).body(Full::new(body.clone()))?;
        let status = self.client.send(request, TIMEOUT).await?.status();
        if status.is_success() { Ok(()) } else { Err(format!("the response was {status}").into()) }
    }
}

/// Notices that wait. More of them mean that the receiver does not keep up.
const QUEUE_MAX: usize = 1024;
/// Requests for one notice.
const ATTEMPTS: u32 = 3;
/// Time before the second request; the third follows after four times as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Time for one request, its connection included.
const TIMEOUT: Duration = Duration::from_secs(10);
