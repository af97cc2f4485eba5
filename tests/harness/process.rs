//! The `tidegate` program, run as an operator runs it.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::PATIENCE;
use crate::tiers::Tier;

/// A tier that runs as a process; dropping this value kills it by its own process id.
#[derive(Debug)]
pub struct Process {
    tier: Tier,
    child: Child,
    log_output: watch::Receiver<String>,
    _reading: JoinHandle<()>,
    folder: Option<TempDir>,
}

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// A signal for a process.
#[derive(Debug, Clone, Copy)]
pub enum Signal {
    /// Shut down in order.
    Terminate,
    /// Read files again.
    Hangup,
    /// What Ctrl-C sends.
    Interrupt,
    /// End immediately; the process cannot react.
    Kill,
    /// Suspend with all sockets open; the process cannot react.
    Stop,
    /// Resume.
    Continue,
}

/// Runs `tidegate` with these arguments to its end.
pub async fn tidegate(arguments: &[&str]) -> Finished {
    let mut command = Command::new(program());
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("an end in time");
    let output = output.expect("a program that starts");
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Process {
    /// Starts `tidegate {part}` with a configuration, and waits until it logs its addresses.
    pub async fn start(part: &str, config: &str) -> Self {
        Self::start_with(part, config, &[]).await
    }

    /// The same with further flags.
    pub async fn start_with(part: &str, config: &str, flags: &[&str]) -> Self {
        Self::start_inside(&[], part, config, flags).await
    }

    /// The same through a launcher program, which replaces itself by the program that its last arguments
    /// name.
    pub async fn start_inside(launcher: &[&str], part: &str, config: &str, flags: &[&str]) -> Self {
        let folder = TempDir::with_prefix("tidegate-e2e-").expect("a folder");
        let file = folder.path().join(format!("{part}.toml"));
        std::fs::write(&file, config).expect("a configuration file");
        let program = program();
        let words = launcher.iter().map(OsStr::new).chain([program.as_os_str()]);
        let words: Vec<_> = words.collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(part).args(flags).arg("--config").arg(&file);
        Self::launch(command, part, Some(folder)).await
    }

    /// Starts a program of `examples/` with these arguments, and waits until it says where it listens.
    pub async fn example(name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(example(name));
        command.args(arguments);
        Self::launch(command, name, None).await
    }

    /// Starts the program; `folder` lives as long as it does.
    async fn launch(mut command: Command, name: &str, folder: Option<TempDir>) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("a program");
        let (sender, mut log_output) = watch::channel(String::new());
        let reading = collect(child.stderr.take().expect("its standard error"), sender);
        let said = tokio::time::timeout(PATIENCE, log_output.wait_for(|said| listening(said).is_some()));
        let Ok(Ok(said)) = said.await.map(|said| said.map(|said| said.clone())) else {
            panic!("{name} does not listen: {}", *log_output.borrow());
        };
        let (addr, admin) = listening(&said).expect("its addresses were just logged");
        Self { tier: Tier::at(addr, admin), child, log_output, _reading: reading, folder }
    }

    /// The file of its configuration.
    pub fn config_file(&self, part: &str) -> PathBuf {
        self.folder.as_ref().expect("a folder").path().join(format!("{part}.toml"))
    }

    /// Sends it a signal.
    pub async fn signal(&self, signal: Signal) {
        let id = self.child.id().expect("it has not ended").to_string();
        let name = match signal {
            Signal::Terminate => "-TERM",
            Signal::Hangup => "-HUP",
            Signal::Interrupt => "-INT",
            Signal::Kill => "-KILL",
            Signal::Stop => "-STOP",
            Signal::Continue => "-CONT",
        };
        let sent = Command::new("sh").args(["-c", "kill \"$0\" \"$1\"", name, &id]).status().await;
        assert!(sent.expect("a shell").success(), "{signal:?} could not be sent to {id}");
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        ended.unwrap_or_else(|_late| panic!("it does not end: {}", self.log_output())).expect("a status")
    }

    /// Its standard error so far.
    pub fn log_output(&self) -> String {
        self.log_output.borrow().clone()
    }

    /// Its resident memory, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// Its peak resident memory, in bytes.
    pub fn peak_resident_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The processor time that it has used.
    pub fn processor_time(&self) -> Duration {
        let id = self.child.id().expect("it has not ended");
        let id = Pid::from_raw(i32::try_from(id).expect("a process id"));
        let clock = clock_getcpuclockid(id).expect("its clock");
        clock_gettime(clock).expect("its time").into()
    }

    fn memory(&self, field: &str) -> u64 {
        let id = self.child.id().expect("it has not ended");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("its memory");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib * 1024
    }
}

impl Deref for Process {
    type Target = Tier;

    fn deref(&self) -> &Tier {
        &self.tier
    }
}

/// The program under test: the one that `cargo xtask test` names, otherwise the one that cargo builds by
/// default.
fn program() -> PathBuf {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/tidegate");
    let program = std::env::var_os("TIDEGATE_BIN").map_or_else(built, PathBuf::from);
    assert!(program.is_file(), "{} is missing; run: cargo build --package tidegate-cli", program.display());
    program
}

/// A program of `examples/`: cargo builds it beside the program under test.
fn example(name: &str) -> PathBuf {
    let program = program().with_file_name(name);
    let path = program.display();
    assert!(program.is_file(), "{path} is missing; run: cargo build --package tidegate-examples");
    program
}

/// Collects the output of the program. Ends with the program.
#[expect(clippy::disallowed_methods, reason = "it ends with the program that it reads")]
fn collect(stderr: ChildStderr, sender: watch::Sender<String>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut lines = BufReader::new(stderr).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            sender.send_modify(|said| {
                said.push_str(&line);
                said.push('\n');
            });
        }
    })
}

/// The addresses for viewers and operators, once the program has logged them.
fn listening(said: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line = said.lines().find(|line| line.contains(" listening "))?;
    let field = |name: &str| line.split(' ').find_map(|word| word.strip_prefix(name)?.parse().ok());
    Some((field("serving=")?, field("operators=")?))
}
