//! A process that can be killed and restarted with the same configuration.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Deref;

use crate::process::{Process, Signal};

/// A loopback address that no test connects from: a port released there stays free until it is bound again.
pub const SEPARATE_LOOPBACK: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Makes a configuration from the addresses for viewers and for operators.
type Write = Box<dyn Fn(SocketAddr, SocketAddr) -> String + Send + Sync>;

/// One process of a cluster; dropping this value kills it.
pub struct Member {
    part: &'static str,
    launcher: Vec<String>,
    write: Write,
    process: Process,
}

impl Member {
    /// Starts `tidegate {part}` on free ports of [`SEPARATE_LOOPBACK`]; `write` makes its configuration from
    /// the addresses for viewers and for operators.
    pub async fn start(
        part: &'static str,
        write: impl Fn(SocketAddr, SocketAddr) -> String + Send + Sync + 'static,
    ) -> Self {
        Self::start_at(SEPARATE_LOOPBACK, &[], part, write).await
    }

    /// The same at another address, and through a launcher program.
    pub async fn start_at(
        ip: impl Into<IpAddr>,
        launcher: &[&str],
        part: &'static str,
        write: impl Fn(SocketAddr, SocketAddr) -> String + Send + Sync + 'static,
    ) -> Self {
        let free = SocketAddr::from((ip.into(), 0));
        let process = Process::start_inside(launcher, part, &write(free, free), &[]).await;
        let launcher = launcher.iter().map(|word| (*word).to_owned()).collect();
        Self { part, launcher, write: Box::new(write), process }
    }

    /// Kills it immediately, as a power failure would.
    pub async fn kill(&mut self) {
        self.process.signal(Signal::Kill).await;
        self.process.ended().await;
    }

    /// Starts it again, with the same configuration and on the same ports.
    pub async fn restart(&mut self) {
        let config = (self.write)(self.process.addr(), self.process.admin());
        let launcher: Vec<_> = self.launcher.iter().map(String::as_str).collect();
        self.process = Process::start_inside(&launcher, self.part, &config, &[]).await;
    }

    /// Suspends it; its sockets stay open.
    pub async fn suspend(&self) {
        self.process.signal(Signal::Stop).await;
    }

    /// Resumes it.
    pub async fn resume(&self) {
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
