//! A resolver for tests, with scripted results in paused time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::client::{Client, Servers};
use super::{Discover, Dns, Found, Member};
use crate::error::UpstreamError;

type Answer = (Duration, Result<Found, UpstreamError>);

#[derive(Debug, Clone)]
pub(crate) struct Script {
    answer: Arc<Mutex<Answer>>,
    asked: Arc<AtomicUsize>,
}

impl Script {
    pub(crate) fn new() -> Self {
        let answer = Arc::new(Mutex::new((Duration::ZERO, Err(UpstreamError::DnsError))));
        Self { answer, asked: Arc::default() }
    }

    pub(crate) fn dns(&self) -> Dns {
        Dns(Arc::new(Client::of(Servers::Script(self.clone()))))
    }

    /// Sets the next results, and the delay before each.
    pub(crate) fn says(&self, after: Duration, answer: Result<Found, UpstreamError>) {
        *self.answer.lock() = (after, answer);
    }

    /// The number of lookups.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    pub(super) async fn answer(&self, _what: &Discover) -> Result<Found, UpstreamError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let (after, answer) = self.answer.lock().clone();
        tokio::time::sleep(after).await;
        answer
    }
}

impl PartialEq for Script {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.answer, &other.answer)
    }
}

impl Eq for Script {}

pub(crate) fn member(address: &str) -> Member {
    Member { priority: 0, address: address.parse().unwrap(), host: "origin.test".to_owned(), weight: 1 }
}

pub(crate) fn found(members: &[&str], seconds: u64) -> Found {
    Found {
        members: members.iter().map(|address| member(address)).collect(),
        valid_for: Duration::from_secs(seconds),
        unanswered: Vec::new(),
    }
}
