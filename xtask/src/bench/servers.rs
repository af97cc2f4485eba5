//! The servers: an nginx as everybody's origin, and those that are compared in front of it.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use super::Settings;
use super::objects::Object;
use super::{configuration, wire};
use crate::repository::Repository;
use crate::shell;

/// The core that the compared servers have to themselves while one of them works.
const CORE: &str = "0";

/// Whom we compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Kind {
    Tidegate,
    Nginx,
    Varnish,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tidegate => "tidegate",
            Self::Nginx => "nginx",
            Self::Varnish => "varnish",
        })
    }
}

/// A folder in memory, the origin, and the binary to compare.
pub(crate) struct Stage {
    // Fields are dropped in order: the processes end before their folder goes.
    origin: Server,
    folder: Folder,
    pub(crate) tidegate: PathBuf,
    /// The program that measures a crowd.
    pub(crate) crowd: PathBuf,
    /// The program that measures how far behind the tiers are.
    pub(crate) staleness: PathBuf,
    /// The program that measures players who wait.
    pub(crate) waiters: PathBuf,
}

impl Stage {
    /// Builds Tidegate and starts the origin.
    pub(crate) fn build(repository: &Repository, settings: &Settings) -> Result<Self> {
        let profile = settings.profile.as_str();
        let bins = ["tidegate", "crowd", "staleness", "waiters"].map(|name| ["--bin", name]).concat();
        let arguments = [&["build", "--locked", "--profile", profile, "--workspace"], &bins[..]].concat();
        let built = shell::succeeds(&mut shell::command_in(repository.root(), "cargo", &arguments))?;
        ensure!(built, "tidegate does not build");

        let folder = Folder::create()?;
        Object::write_all(&folder.path("media"))?;
        let address = free_address()?;
        let text = configuration::origin(address, &folder.path("origin"), &folder.path("media"));
        let mut command = nginx(&folder.path("origin"), &text, super::wrk::CORE)?;
        let origin = Server::start(Kind::Nginx, address, &mut command)?;
        let programs = repository.target().join(profile);
        Ok(Self {
            origin,
            folder,
            tidegate: programs.join("tidegate"),
            crowd: programs.join("crowd"),
            staleness: programs.join("staleness"),
            waiters: programs.join("waiters"),
        })
    }

    /// Starts one of the servers in front of the origin.
    pub(crate) fn start(&self, kind: Kind) -> Result<Server> {
        let address = free_address()?;
        let folder = self.folder.path(&kind.to_string());
        let mut command = match kind {
            Kind::Tidegate => self.tidegate(address, &folder)?,
            Kind::Nginx => {
                nginx(&folder, &configuration::nginx(address, self.origin.address, &folder), CORE)?
            }
            Kind::Varnish => self.varnish(address, &folder)?,
        };
        Server::start(kind, address, &mut command)
    }

    /// How often the origin was asked: a few times per server, or what was measured are no hits.
    pub(crate) fn origin_requests(&self) -> Result<usize> {
        let log = self.folder.path("origin").join("access.log");
        Ok(std::fs::read_to_string(&log).with_context(|| log.display().to_string())?.lines().count())
    }

    fn tidegate(&self, address: SocketAddr, folder: &Path) -> Result<Command> {
        let file = folder.join("edge.toml");
        write(&file, &configuration::tidegate(address, free_address()?, self.origin.address))?;
        let mut command = pinned(CORE, &self.tidegate);
        command.arg("edge").arg("--config").arg(file);
        Ok(command)
    }

    fn varnish(&self, address: SocketAddr, folder: &Path) -> Result<Command> {
        std::fs::create_dir_all(folder)?;
        let mut command = pinned(CORE, &program("varnishd")?);
        command.args(["-F", "-a", &address.to_string(), "-b", &self.origin.address.to_string()]);
        command.args(["-s", "malloc,256m", "-n"]).arg(folder);
        Ok(command)
    }
}

/// A running server; it ends with this value.
pub(crate) struct Server {
    kind: Kind,
    address: SocketAddr,
    process: Child,
}

impl Server {
    fn start(kind: Kind, address: SocketAddr, command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().with_context(|| shell::describe(command))?;
        let server = Self { kind, address, process };
        wire::wait_for(address)
            .with_context(|| format!("{kind} does not answer: {}", shell::describe(command)))?;
        Ok(server)
    }

    /// Brings every object into the cache, and makes sure that it is the right one that comes out of it.
    pub(crate) fn warm(&self) -> Result<()> {
        for object in Object::ALL.iter().cycle().take(Object::ALL.len() * 3) {
            let body = wire::get(self.address, object.path()).with_context(|| format!("{}", self.kind))?;
            ensure!(body == object.body(), "{} answers {} with other bytes", self.kind, object.path());
        }
        Ok(())
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn url(&self, object: Object) -> String {
        format!("http://{}{}", self.address, object.path())
    }

    /// The server's name and version, as it says itself.
    pub(crate) fn title(&self) -> (Kind, String) {
        let version = match self.kind {
            Kind::Tidegate => Some(env!("CARGO_PKG_VERSION").to_owned()),
            Kind::Nginx => first_words("nginx", "-v", "nginx/"),
            Kind::Varnish => first_words("varnishd", "-V", "varnish-"),
        };
        (self.kind, format!("{} {}", self.kind, version.unwrap_or_default()).trim_end().to_owned())
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

/// A folder in memory, removed with this value.
struct Folder(PathBuf);

impl Folder {
    fn create() -> Result<Self> {
        let path = Path::new("/dev/shm").join(format!("tidegate-bench-{}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| path.display().to_string())?;
        // Varnish's worker is another user and has to pass through.
        let open = Command::new("chmod").arg("755").arg(&path).status()?;
        ensure!(open.success(), "{} cannot be opened", path.display());
        Ok(Self(path))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} stays behind: {error}", self.0.display());
        }
    }
}

fn nginx(folder: &Path, configuration: &str, core: &str) -> Result<Command> {
    let file = folder.join("nginx.conf");
    write(&file, configuration)?;
    let mut command = pinned(core, &program("nginx")?);
    command.arg("-c").arg(&file).arg("-p").arg(folder).arg("-e").arg(folder.join("error.log"));
    Ok(command)
}

/// `taskset` replaces itself by the program, so that its process id is the program's.
fn pinned(core: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program);
    command
}

fn program(name: &str) -> Result<PathBuf> {
    shell::find(name).with_context(|| format!("{name} is not installed"))
}

fn write(file: &Path, text: &str) -> Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, text).with_context(|| file.display().to_string())
}

/// A port that was free a moment ago; the servers bind it themselves.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// The version after a prefix in what a program prints about itself.
fn first_words(name: &str, flag: &str, prefix: &str) -> Option<String> {
    let output = Command::new(shell::find(name)?).arg(flag).output().ok()?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let (_, rest) = text.split_once(prefix)?;
    rest.split(|c: char| c.is_whitespace() || c == ')').next().map(str::to_owned)
}
