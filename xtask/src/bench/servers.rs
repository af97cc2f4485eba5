//! The servers that are compared: started, found in memory and CPU time, ended.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{configuration, usage, wire};
use crate::shell;

/// Whom we compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Tidegate,
    /// Tidegate without copies of large bodies in files (`cache.sendfile`).
    FromMemory,
    Nginx,
    Varnish,
    /// A loop that does the least that a server could do: the floor (`tests/measure/floor.rs`).
    Floor,
}

impl Kind {
    /// Tidegate and those that people use today.
    pub(crate) const CACHES: [Self; 3] = [Self::Tidegate, Self::Nginx, Self::Varnish];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tidegate => "tidegate",
            Self::FromMemory => "tidegate, all from memory",
            Self::Nginx => "nginx",
            Self::Varnish => "varnish",
            Self::Floor => "bare loop",
        })
    }
}

/// What a server is told.
#[derive(Debug, Clone)]
pub(crate) struct Setting<'a> {
    pub(crate) listen: SocketAddr,
    pub(crate) tls: SocketAddr,
    pub(crate) operators: SocketAddr,
    pub(crate) origin: SocketAddr,
    /// Its own.
    pub(crate) folder: PathBuf,
    /// The objects, as files.
    pub(crate) media: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// For bodies: "512MiB".
    pub(crate) memory: &'a str,
    /// Threads or processes that serve.
    pub(crate) threads: usize,
    /// The cores that it may use, as `taskset` writes them.
    pub(crate) cores: &'a str,
}

/// A running server; it ends with this value.
#[derive(Debug)]
pub(crate) struct Server {
    kind: Kind,
    address: SocketAddr,
    tls: SocketAddr,
    operators: SocketAddr,
    process: Child,
}

impl Server {
    /// Starts one and waits until it listens. `program` is Tidegate's binary or the bare loop's.
    pub(crate) fn start(kind: Kind, setting: &Setting<'_>, program: &Path) -> Result<Self> {
        std::fs::create_dir_all(&setting.folder)?;
        let mut command = match kind {
            Kind::Tidegate => tidegate(setting, program, &configuration::tidegate(setting, None))?,
            Kind::FromMemory => tidegate(setting, program, &configuration::tidegate(setting, Some("0B")))?,
            Kind::Nginx => nginx(setting.cores, &setting.folder, &configuration::nginx(setting))?,
            Kind::Varnish => {
                let mut command = pinned(setting.cores, &installed("varnishd")?);
                command.args(configuration::varnish(setting));
                command
            }
            Kind::Floor => {
                let mut command = pinned(setting.cores, program);
                command.arg(setting.listen.to_string()).arg(&setting.media);
                command
            }
        };
        let Setting { listen, tls, operators, .. } = setting;
        Self::run(kind, [*listen, *tls, *operators], &mut command)
    }

    /// Starts everybody's origin.
    pub(crate) fn origin(address: SocketAddr, core: &str, folder: &Path, media: &Path) -> Result<Self> {
        let mut command = nginx(core, folder, &configuration::origin(address, folder, media))?;
        Self::run(Kind::Nginx, [address; 3], &mut command)
    }

    fn run(kind: Kind, [address, tls, operators]: [SocketAddr; 3], command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().with_context(|| shell::describe(command))?;
        let server = Self { kind, address, tls, operators, process };
        wire::wait_for(address)
            .with_context(|| format!("{kind} does not answer: {}", shell::describe(command)))?;
        Ok(server)
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it speaks TLS.
    pub(crate) fn tls(&self) -> SocketAddr {
        self.tls
    }

    /// Tidegate's listener for operators.
    pub(crate) fn operators(&self) -> SocketAddr {
        self.operators
    }

    /// The CPU time that it has had so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        usage::time_of(self.pid())
    }

    /// The memory that it has resident, in bytes.
    pub(crate) fn memory(&self) -> Result<u64> {
        usage::memory_of(self.pid())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Asked politely, nginx and Varnish take their children with them.
        let pid = self.process.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status().is_ok_and(|status| status.success());
        let ended = if asked { Ok(()) } else { self.process.kill() };
        if let Err(error) = ended.and_then(|()| self.process.wait().map(|_| ())) {
            eprintln!("{} cannot be ended: {error}", self.kind);
        }
    }
}

/// As many threads as are told to the runtime, and no more cores than it may use.
fn tidegate(setting: &Setting<'_>, program: &Path, configuration: &str) -> Result<Command> {
    let file = setting.folder.join("edge.toml");
    write(&file, configuration)?;
    let mut command = pinned(setting.cores, program);
    command.arg("edge").arg("--config").arg(file).env("TOKIO_WORKER_THREADS", setting.threads.to_string());
    Ok(command)
}

fn nginx(cores: &str, folder: &Path, configuration: &str) -> Result<Command> {
    let file = folder.join("nginx.conf");
    write(&file, configuration)?;
    let mut command = pinned(cores, &installed("nginx")?);
    command.arg("-c").arg(&file).arg("-p").arg(folder).arg("-e").arg(folder.join("error.log"));
    Ok(command)
}

/// `taskset` replaces itself by the program, so that its process id is the program's. The shell before it, which does so
/// too, allows as many open files as the system lets this user have.
pub(crate) fn pinned(cores: &str, program: &Path) -> Command {
    const WITH_ALL_DESCRIPTORS: &str = "ulimit -Sn \"$(ulimit -Hn)\" && exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", WITH_ALL_DESCRIPTORS, "taskset", "-c", cores]).arg(program);
    command
}

fn installed(name: &str) -> Result<PathBuf> {
    shell::find(name).with_context(|| format!("{name} is not installed"))
}

fn write(file: &Path, text: &str) -> Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, text).with_context(|| file.display().to_string())
}
