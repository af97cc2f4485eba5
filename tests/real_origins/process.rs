//! Programs that live as long as the value that represents them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

/// The time that a program has to end in order.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// A running program; dropping this value kills it by its own process id.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    stderr: PathBuf,
}

impl Process {
    /// Starts a program; its standard error goes to a file in `folder`.
    pub(crate) fn start(name: &'static str, command: &mut Command, folder: &Path) -> Self {
        let stderr = folder.join(format!("{name}.stderr"));
        let file = std::fs::File::create(&stderr).expect("a file for the program's log");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).kill_on_drop(true);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { name, child, stderr }
    }

    /// The program's standard error so far.
    pub(crate) fn log_output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.stderr).unwrap_or_default()).into_owned()
    }

    /// Interrupts it, as Ctrl-C does, and waits until it has ended.
    pub(crate) async fn interrupt(mut self) {
        let id = self.child.id().expect("it has not ended").to_string();
        let sent = Command::new("sh").args(["-c", "kill -INT \"$0\"", &id]).status().await;
        assert!(sent.expect("a shell").success(), "{} could not be interrupted", self.name);
        let ended = timeout(ENDS_WITHIN, self.child.wait()).await;
        ended.unwrap_or_else(|late| panic!("{} does not end: {late}", self.name)).expect("a status");
    }

    /// Fails if the program has ended by itself.
    pub(crate) fn assert_alive(&mut self) {
        if let Some(status) = self.child.try_wait().expect("a status") {
            panic!("{} ended: {status}\n{}", self.name, self.log_output());
        }
    }
}

/// The server under test: the one that `cargo xtask test` names, otherwise the one that cargo builds by
/// default.
pub(crate) fn tidegate() -> PathBuf {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/tidegate");
    let program = std::env::var_os("TIDEGATE_BIN").map_or_else(built, PathBuf::from);
    assert!(program.is_file(), "{} is missing; run: cargo build --package tidegate-cli", program.display());
    program
}

/// A port that was free a moment ago, for programs that cannot inherit a listener.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("a bound listener has an address").port()
}

/// Polls until there is a value, and fails once the deadline has passed.
pub(crate) async fn until<T>(what: &str, deadline: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    let mut rhythm = tokio::time::interval(Duration::from_millis(100));
    loop {
        if let Some(response) = ask().await {
            return response;
        }
        assert!(Instant::now() < end, "after {deadline:?} still not: {what}");
        rhythm.tick().await;
    }
}
