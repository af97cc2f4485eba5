//! An origin that runs as a process and receives its faults over HTTP.

use std::net::Ipv4Addr;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use tidegate_origin_stub::Fault;

use crate::member::{Member, SEPARATE_LOOPBACK};
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
        Self::start_at(SEPARATE_LOOPBACK, &[]).await
    }

    /// Starts one at an address, through a launcher program.
    pub async fn start_at(ip: Ipv4Addr, launcher: &[&str]) -> Self {
        let member = Member::start_at(ip, launcher, "origin-stub", |listen, admin| {
            format!("listen = \"{listen}\"\nadmin = \"{admin}\"\n")
        });
        Self(member.await)
    }

    /// Injects a fault.
    pub async fn inject(&self, fault: Fault) {
        let fault = serde_json::to_vec(&fault).expect("JSON");
        let response = viewer(self.admin()).body(&fault).ask("POST", "/v1/faults").await;
        assert_eq!(response.status, 201, "{}", response.text());
    }

    /// Removes all faults.
    pub async fn clear_faults(&self) {
        assert_eq!(viewer(self.admin()).ask("DELETE", "/v1/faults").await.status, 204);
    }

    /// The number of requests that it has received.
    pub async fn total(&self) -> u64 {
        self.counts().await["total"].as_u64().expect("a number")
    }

    /// The number of requests for paths with this beginning and end.
    pub async fn requests(&self, beginning: &str, end: &str) -> u64 {
        let counts = self.counts().await;
        let paths = counts["paths"].as_object().expect("paths").iter();
        let fitting = paths.filter(|(path, _)| path.starts_with(beginning) && path.ends_with(end));
        fitting.map(|(_, count)| count["total"].as_u64().expect("a number")).sum()
    }

    /// The number of responses with a status.
    pub async fn responses(&self, status: u16) -> u64 {
        let counts = self.counts().await;
        let paths = counts["paths"].as_object().expect("paths").values();
        paths.filter_map(|count| count["statuses"][status.to_string()].as_u64()).sum()
    }

    /// Waits until it is in the middle of a segment: it sends slowly from now on, and has received the
    /// request for the next one.
    pub async fn wait_for_mid_segment(&self) {
        self.inject(Fault::on(SEGMENTS).bytes_per_second(SLOW)).await;
        let before = self.segments().await;
        until("a segment is requested", async || self.segments().await > before).await;
        // Half of the segment has been sent by then.
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
