//! What every section plays on: a folder in memory, an origin, a certificate, and the programs, built.

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

/// The core that a server with one thread has to itself, and that of whoever makes the load.
pub(crate) const SERVER_CORE: &str = "0";
/// The origin is there, too: what it costs is nobody's figure.
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

/// How a server differs from the others of its kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) threads: usize,
    pub(crate) cores: &'static str,
    pub(crate) memory: &'static str,
    /// Another origin than the stage's.
    pub(crate) origin: Option<SocketAddr>,
}

impl Default for Options {
    fn default() -> Self {
        Self { threads: 1, cores: SERVER_CORE, memory: "512MiB", origin: None }
    }
}

impl Stage {
    /// Builds what is measured and what measures, and starts the origin.
    pub(crate) fn build(repository: &Repository, settings: &Settings) -> Result<Self> {
        if !settings.no_build {
            build_programs(repository, settings)?;
        }
        let folder = Folder::create()?;
        Object::write_all(&folder.path("media"))?;
        certificate(&folder)?;
        let origin =
            Server::origin(free_address()?, LOAD_CORE, &folder.path("origin"), &folder.path("media"))?;
        // Cargo's folder of the profile `dev` has another name.
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

    /// A file of the stage, with this text.
    pub(crate) fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let file = self.folder.path(name);
        std::fs::write(&file, text).with_context(|| file.display().to_string())?;
        Ok(file)
    }

    /// How often the origin was asked for objects that are cached: a few times per server, or what was measured are no hits.
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

/// One certificate for everybody: ECDSA on P-256.
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

/// A port that was free a moment ago; the servers bind it themselves.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// A folder in memory, removed with this value.
#[derive(Debug)]
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
