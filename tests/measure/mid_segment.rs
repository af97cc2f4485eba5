//! Measures the effect on viewers when the primary origin is killed in the middle of a segment: `mid_segment
//! [VIEWERS]`, a table in Markdown.
//!
//! One tier stands in front of a primary and a backup that serve the output of one encoder, each in its own
//! process: Tidegate as an edge without shields, nginx, and Varnish, one after the other. Viewers watch a
//! live stream as players do. When all of them play, the primary begins to send slowly; when it is in the
//! middle of a segment, it is killed (SIGKILL) and not restarted. Ten seconds later the viewers with errors
//! are counted: a status other than 200, a body that broke off, or no response at all.

mod program;
mod rivals;

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use tidegate_tests::{Member, OriginProcess, Report, Swarm};

use crate::program::Program;

const PLAYLIST: &str = "/live/one/ts/144p/index.m3u8";
/// The time that the viewers watch before the kill, and after it.
const BEFORE: Duration = Duration::from_secs(4);
const AFTER: Duration = Duration::from_secs(10);

/// The system that carries the stream.
#[derive(Debug, Clone, Copy)]
enum System {
    Tidegate,
    Nginx,
    Varnish,
}

impl System {
    const fn name(self) -> &'static str {
        match self {
            Self::Tidegate => "Tidegate",
            Self::Nginx => "nginx",
            Self::Varnish => "Varnish",
        }
    }
}

/// A running tier of one of the systems.
#[derive(Debug)]
enum Tier {
    Tidegate(Box<Member>),
    Rival(Program),
}

#[tokio::main]
#[expect(clippy::expect_used, reason = "a measurement that goes wrong ends with its reason")]
async fn main() {
    let viewers = std::env::args().nth(1).map_or(200, |count| count.parse().expect("a number of viewers"));
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "| server | viewers with errors | errors | longest stall, s |\n|---|---|---|---|")
        .expect("standard output");
    for system in [System::Tidegate, System::Nginx, System::Varnish] {
        let report = drill(system, viewers).await;
        let (name, affected) = (system.name(), report.affected.len());
        let kinds = report.errors_by_kind.iter().map(|(kind, (count, _))| format!("{count} × {kind}"));
        let kinds: Vec<_> = kinds.collect();
        let kinds = if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") };
        let stall = report.longest_stall.as_secs_f64();
        writeln!(stdout, "| {name} | {affected} of {viewers} | {kinds} | {stall:.1} |")
            .expect("standard output");
    }
}

/// Kills the primary behind one system.
async fn drill(system: System, viewers: usize) -> Report {
    let (mut primary, backup) = (OriginProcess::start().await, OriginProcess::start().await);
    let tier = Tier::start(system, primary.addr(), backup.addr()).await;
    let swarm = Swarm::start(viewers, &[tier.addr()], &[PLAYLIST]);
    swarm.wait_until_playing().await;
    tokio::time::sleep(BEFORE).await;
    primary.wait_for_mid_segment().await;
    primary.kill().await;
    tokio::time::sleep(AFTER).await;
    swarm.stop().await
}

impl Tier {
    async fn start(system: System, primary: SocketAddr, backup: SocketAddr) -> Self {
        match system {
            System::Tidegate => Self::Tidegate(Box::new(
                Member::start("edge", move |viewers, operators| {
                    format!(
                        "shields = []\n[listen]\nviewers = \"{viewers}\"\noperators = \"{operators}\"\n\
                         [cache]\nmemory = \"256MiB\"\n[log]\naccess = \"off\"\n\
                         [[site]]\norigins = [\"http://{primary}\", \"http://{backup}\"]\n"
                    )
                })
                .await,
            )),
            System::Nginx => Self::Rival(rivals::nginx(primary, backup).await),
            System::Varnish => Self::Rival(rivals::varnish(primary, backup).await),
        }
    }

    fn addr(&self) -> SocketAddr {
        match self {
            Self::Tidegate(edge) => edge.addr(),
            Self::Rival(rival) => rival.addr(),
        }
    }
}
