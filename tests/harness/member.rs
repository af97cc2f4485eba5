//! A process that can be killed and come back as it was.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Deref;

use crate::process::{Process, Signal};

/// An address of loopback from which nobody connects: a port that is given up there stays free until it is taken again.
pub const APART: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A configuration, given where to listen for viewers and for operators.
type Write = Box<dyn Fn(SocketAddr, SocketAddr) -> String + Send + Sync>;

/// One process of a house; it is killed when this value goes.
pub struct Member {
    part: &'static str,
    entrance: Vec<String>,
    write: Write,
    process: Process,
}

impl Member {
    /// Starts `tidegate {part}` on free ports of [`APART`]; `write` makes its configuration of the addresses for viewers
    /// and for operators.
    pub async fn start(
        part: &'static str,
        write: impl Fn(SocketAddr, SocketAddr) -> String + Send + Sync + 'static,
    ) -> Self {
        Self::start_at(APART, &[], part, write).await
    }

    /// The same at an address of its own, and by way of another program.
    pub async fn start_at(
        ip: impl Into<IpAddr>,
        entrance: &[&str],
        part: &'static str,
        write: impl Fn(SocketAddr, SocketAddr) -> String + Send + Sync + 'static,
    ) -> Self {
        let free = SocketAddr::from((ip.into(), 0));
        let process = Process::start_inside(entrance, part, &write(free, free), &[]).await;
        let entrance = entrance.iter().map(|word| (*word).to_owned()).collect();
        Self { part, entrance, write: Box::new(write), process }
    }

    /// Ends at once, as the power does.
    pub async fn dies(&mut self) {
        self.process.signal(Signal::Kill).await;
        self.process.ended().await;
    }

    /// Starts again, with the same configuration and on the same ports.
    pub async fn returns(&mut self) {
        let config = (self.write)(self.process.addr(), self.process.admin());
        let entrance: Vec<_> = self.entrance.iter().map(String::as_str).collect();
        self.process = Process::start_inside(&entrance, self.part, &config, &[]).await;
    }

    /// Stands still with its sockets open.
    pub async fn hangs(&self) {
        self.process.signal(Signal::Stop).await;
    }

    /// Goes on after that.
    pub async fn goes_on(&self) {
        self.process.signal(Signal::Continue).await;
    }
}

impl Deref for Member {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("process", &self.process).finish_non_exhaustive()
    }
}
