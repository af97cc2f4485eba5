//! An origin that is a process, and is told over HTTP how to misbehave.

use std::net::Ipv4Addr;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use tidegate_origin_stub::Fault;

use crate::member::{APART, Member};
use crate::{until, viewer};

/// The segments of all live streams.
const SEGMENTS: &str = "/live/*.ts";
/// Bytes per second at which a segment of the smallest rendition takes two seconds.
const SLOW: u64 = 22_000;

/// An origin stub as a process.
#[derive(Debug)]
pub struct OriginProcess(Member);

impl OriginProcess {
    /// Starts one.
    pub async fn start() -> Self {
        Self::start_at(APART, &[]).await
    }

    /// Starts one at an address, by way of another program.
    pub async fn start_at(ip: Ipv4Addr, entrance: &[&str]) -> Self {
        let member = Member::start_at(ip, entrance, "origin-stub", |listen, admin| {
            format!("listen = \"{listen}\"\nadmin = \"{admin}\"\n")
        });
        Self(member.await)
    }

    /// Misbehaves from now on.
    pub async fn is_told(&self, fault: Fault) {
        let fault = serde_json::to_vec(&fault).expect("JSON");
        let answer = viewer(self.admin()).body(&fault).ask("POST", "/v1/faults").await;
        assert_eq!(answer.status, 201, "{}", answer.text());
    }

    /// Behaves again.
    pub async fn behaves(&self) {
        assert_eq!(viewer(self.admin()).ask("DELETE", "/v1/faults").await.status, 204);
    }

    /// How often it was asked for anything.
    pub async fn total(&self) -> u64 {
        self.counts().await["total"].as_u64().expect("a number")
    }

    /// How often it was asked for what begins and ends like this.
    pub async fn asked(&self, beginning: &str, end: &str) -> u64 {
        let counts = self.counts().await;
        let paths = counts["paths"].as_object().expect("paths").iter();
        let fitting = paths.filter(|(path, _)| path.starts_with(beginning) && path.ends_with(end));
        fitting.map(|(_, count)| count["total"].as_u64().expect("a number")).sum()
    }

    /// How often it has answered with a status.
    pub async fn answered(&self, status: u16) -> u64 {
        let counts = self.counts().await;
        let paths = counts["paths"].as_object().expect("paths").values();
        paths.filter_map(|count| count["statuses"][status.to_string()].as_u64()).sum()
    }

    /// Waits until it is in the middle of a segment: it sends slowly from now on, and is asked for the next one.
    pub async fn is_in_mid_segment(&self) {
        self.is_told(Fault::on(SEGMENTS).bytes_per_second(SLOW)).await;
        let before = self.segments().await;
        until("a segment is asked for", async || self.segments().await > before).await;
        // Half of it is out by then.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    async fn segments(&self) -> u64 {
        self.counts().await["segments"].as_u64().expect("a number")
    }

    async fn counts(&self) -> serde_json::Value {
        serde_json::from_slice(&viewer(self.admin()).get("/v1/requests").await.body).expect("JSON")
    }
}

impl Deref for OriginProcess {
    type Target = Member;

    fn deref(&self) -> &Member {
        &self.0
    }
}

impl DerefMut for OriginProcess {
    fn deref_mut(&mut self) -> &mut Member {
        &mut self.0
    }
}
