//! The environment of every section: a folder in memory, an origin, a certificate, and the built programs.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Settings;
use super::objects::Object;
use super::section::Section;
use super::servers::{Kind, Server, Setting};
use crate::repository::Repository;
use crate::shell;

/// The core of a server with one thread.
pub(crate) const SERVER_CORE: &str = "0";
/// The core of the load. The origin shares it, since its cost is not measured.
pub(crate) const LOAD_CORE: &str = "1";

/// The folder, the origin, the programs.
#[derive(Debug)]
pub(crate) struct Stage {
    // Fields are dropped in order: the processes end before their folder goes.
    origin: Server,
    folder: Folder,
    programs: PathBuf,
    tidegate: PathBuf,
}

/// The options of a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) threads: usize,
    pub(crate) cores: &'static str,
    pub(crate) memory: &'static str,
    /// An origin in place of the stage's.
    pub(crate) origin: Option<SocketAddr>,
}

impl Default for Options {
    fn default() -> Self {
        Self { threads: 1, cores: SERVER_CORE, memory: "512MiB", origin: None }
    }
}

impl Stage {
    /// Builds the measured and the measuring programs, and starts the origin.
    pub(crate) fn build(repository: &Repository, settings: &Settings) -> Result<Self> {
        if !settings.no_build {
            build_programs(repository, settings)?;
        }
        let folder = Folder::create()?;
        Object::write_all(&folder.path("media"))?;
        certificate(&folder)?;
        let origin =
            Server::origin(free_address()?, LOAD_CORE, &folder.path("origin"), &folder.path("media"))?;
        // Cargo's folder for the profile `dev` has another name.
        let profile = if settings.profile == "dev" { "debug" } else { &settings.profile };
        let programs = repository.target().join(profile);
        let tidegate = settings.tidegate.clone().unwrap_or_else(|| programs.join("tidegate"));
        Ok(Self { origin, folder, programs, tidegate })
    }

    /// Starts a server.
    pub(crate) fn start(&self, kind: Kind, options: Options) -> Result<Server> {
        let listen = free_address()?;
        let program = if kind == Kind::Floor { self.program("floor") } else { self.tidegate.clone() };
        let setting = Setting {
            listen,
            tls: free_address()?,
            operators: free_address()?,
            origin: options.origin.unwrap_or_else(|| self.origin.address()),
            folder: self.folder.path(&format!("{kind}-{}", listen.port())),
            media: self.folder.path("media"),
            certificate: self.folder.path("tls.pem"),
            key: self.folder.path("tls.key"),
            memory: options.memory,
            threads: options.threads,
            cores: options.cores,
        };
        Server::start(kind, &setting, &program)
    }

    /// One of the measuring programs.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// Tidegate's binary.
    pub(crate) fn tidegate(&self) -> &Path {
        &self.tidegate
    }

    pub(crate) fn origin(&self) -> SocketAddr {
        self.origin.address()
    }

    /// Writes a file of the stage.
    pub(crate) fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let file = self.folder.path(name);
        std::fs::write(&file, text).with_context(|| file.display().to_string())?;
        Ok(file)
    }

    /// The number of origin requests for cacheable objects: a few per server, or the measured requests are
    /// not hits.
    pub(crate) fn origin_requests(&self) -> Result<usize> {
        let log = self.folder.path("origin").join("access.log");
        Ok(std::fs::read_to_string(&log).with_context(|| log.display().to_string())?.lines().count())
    }
}

fn build_programs(repository: &Repository, settings: &Settings) -> Result<()> {
    let tidegate = if settings.tidegate.is_none() { Some("tidegate") } else { None };
    let programs = settings.sections().into_iter().filter_map(Section::program);
    let bins: Vec<_> = programs.chain(tidegate).flat_map(|name| ["--bin", name]).collect();
    if bins.is_empty() {
        return Ok(());
    }
    let arguments =
        [&["build", "--locked", "--profile", &settings.profile, "--workspace"], &bins[..]].concat();
    let built = shell::succeeds(&mut shell::command_in(repository.root(), "cargo", &arguments))?;
    ensure!(built, "the programs do not build");
    Ok(())
}

/// One certificate for all servers: ECDSA on P-256.
fn certificate(folder: &Folder) -> Result<()> {
    let mut command = Command::new("openssl");
    command.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]);
    command.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]);
    command.arg("-keyout").arg(folder.path("tls.key")).arg("-out").arg(folder.path("tls.pem"));
    let output = command.output().with_context(|| shell::describe(&command))?;
    ensure!(output.status.success(), "no certificate: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// An address with a port that was free just now; the servers bind it themselves.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// A folder in memory, removed when this value is dropped.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn create() -> Result<Self> {
        let path = Path::new("/dev/shm").join(format!("tidegate-bench-{}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| path.display().to_string())?;
        // Varnish's worker runs as another user and needs access.
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
