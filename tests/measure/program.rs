//! A third-party server, for as long as it is measured.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tidegate_tests::until;
use tokio::net::TcpStream;

/// A running server with its own folder in memory; dropping this value ends it.
#[derive(Debug)]
pub(crate) struct Program {
    addr: SocketAddr,
    process: Child,
    _folder: TempDir,
}

impl Program {
    /// Starts the command that `command` makes from a folder and an address to listen at.
    #[expect(clippy::expect_used, reason = "a measurement that goes wrong ends with its reason")]
    pub(crate) async fn start(command: impl FnOnce(&Path, SocketAddr) -> Command) -> Self {
        let folder = TempDir::with_prefix_in("tidegate-measured-", "/dev/shm").expect("a folder in memory");
        // Workers may run as other users and need access.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).expect("a folder of ours");
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let addr = free.local_addr().expect("its address");
        drop(free);
        let mut command = command(folder.path(), addr);
        command.env("PATH", path_with_system_programs());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let program = Self { addr, process: command.spawn().expect("it is installed"), _folder: folder };
        until("the program listens", async || TcpStream::connect(addr).await.is_ok()).await;
        program
    }

    /// Starts nginx with the configuration that `configuration` makes from its folder and its address.
    pub(crate) async fn nginx(configuration: impl FnOnce(&Path, SocketAddr) -> String) -> Self {
        Self::start(|folder, addr| {
            let file = write(folder, "nginx.conf", &configuration(folder, addr));
            let mut command = Command::new("nginx");
            command.arg("-c").arg(file).arg("-p").arg(folder).arg("-e").arg("error.log");
            command
        })
        .await
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // On SIGTERM it ends its workers, too.
        let terminated = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        let ended =
            if terminated.is_ok_and(|status| status.success()) { Ok(()) } else { self.process.kill() };
        let ended = ended.and_then(|()| self.process.wait());
        debug_assert!(ended.is_ok(), "it ends: {ended:?}");
    }
}

/// Writes a configuration into a program's folder.
#[expect(clippy::expect_used, reason = "a measurement that goes wrong ends with its reason")]
pub(crate) fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, text).expect("a configuration");
    file
}

/// The PATH of ordinary users lacks the folders of system programs.
fn path_with_system_programs() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/usr/local/sbin:/sbin");
    path
}
