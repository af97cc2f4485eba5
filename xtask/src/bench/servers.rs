//! The compared servers: their start, their CPU time and memory, their end.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{configuration, usage, wire};
use crate::shell;

/// The kind of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Tidegate,
    /// Tidegate without copies of large bodies in files (`cache.sendfile`).
    FromMemory,
    /// Tidegate with a site that checks tokens.
    WithTokens,
    Nginx,
    Varnish,
    /// A loop that does the least that a server can do: the lower bound (`tests/measure/floor.rs`).
    Floor,
}

impl Kind {
    /// Tidegate, nginx and Varnish.
    pub(crate) const CACHES: [Self; 3] = [Self::Tidegate, Self::Nginx, Self::Varnish];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tidegate => "tidegate",
            Self::FromMemory => "tidegate, all from memory",
            Self::WithTokens => "tidegate, with tokens",
            Self::Nginx => "nginx",
            Self::Varnish => "varnish",
            Self::Floor => "bare loop",
        })
    }
}

/// The settings of a server.
#[derive(Debug, Clone)]
pub(crate) struct Setting<'a> {
    pub(crate) listen: SocketAddr,
    pub(crate) tls: SocketAddr,
    pub(crate) operators: SocketAddr,
    pub(crate) origin: SocketAddr,
    /// Its own folder.
    pub(crate) folder: PathBuf,
    /// The folder with the objects.
    pub(crate) media: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// The memory for bodies, such as "512MiB".
    pub(crate) memory: &'a str,
    /// Serving threads or processes.
    pub(crate) threads: usize,
    /// The cores that it may use, in the form of `taskset`.
    pub(crate) cores: &'a str,
}

/// A running server, which ends when this value is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    kind: Kind,
    address: SocketAddr,
    tls: SocketAddr,
    operators: SocketAddr,
    process: Child,
}

impl Server {
    /// Starts a server and waits until it listens. `program` is the binary of Tidegate or of the bare loop.
    pub(crate) fn start(kind: Kind, setting: &Setting<'_>, program: &Path) -> Result<Self> {
        std::fs::create_dir_all(&setting.folder)?;
        let mut command = match kind {
            Kind::Tidegate => tidegate(setting, program, &configuration::tidegate(setting, None))?,
            Kind::FromMemory => tidegate(setting, program, &configuration::tidegate(setting, Some("0B")))?,
            Kind::WithTokens => {
                let configuration = configuration::tidegate(setting, None) + &configuration::tokens(setting);
                tidegate(setting, program, &configuration)?
            }
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

    /// Starts the origin of all servers.
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

    /// The address with TLS.
    pub(crate) fn tls(&self) -> SocketAddr {
        self.tls
    }

    /// Tidegate's listener for operators.
    pub(crate) fn operators(&self) -> SocketAddr {
        self.operators
    }

    /// The CPU time that it has used so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        usage::time_of(self.pid())
    }

    /// Its resident memory, in bytes.
    pub(crate) fn memory(&self) -> Result<u64> {
        usage::memory_of(self.pid())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // On SIGTERM, nginx and Varnish end their children as well.
        let pid = self.process.id().to_string();
        let is_signalled =
            Command::new("kill").args(["-TERM", &pid]).status().is_ok_and(|status| status.success());
        let ended = if is_signalled { Ok(()) } else { self.process.kill() };
        if let Err(error) = ended.and_then(|()| self.process.wait().map(|_| ())) {
            eprintln!("{} cannot be ended: {error}", self.kind);
        }
    }
}

/// Tidegate with this number of worker threads, on the cores that it may use.
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

/// A program on these cores. `taskset` replaces itself with the program, so its process id is the program's.
/// So does the shell before it, which raises the limit of open files to the maximum for this user.
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
