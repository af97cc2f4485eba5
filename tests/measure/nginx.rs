//! nginx as a tier of a live channel, as its documentation advises for what changes every few seconds.
//!
//! What it holds is kept for a second (`proxy_cache_valid 200 1s`; the origin's `no-cache` has to be ignored for that),
//! one request at a time refreshes it (`proxy_cache_lock`), and whoever asks meanwhile gets what is there
//! (`proxy_cache_use_stale updating`). The cache is on tmpfs, connections to the next tier are kept.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tidegate_tests::{PATIENCE, until};
use tokio::net::TcpStream;

/// A running nginx; it ends with this value.
#[derive(Debug)]
pub(crate) struct Nginx {
    addr: SocketAddr,
    process: Child,
    folder: TempDir,
}

impl Nginx {
    /// Starts one that asks `upstream`.
    #[expect(clippy::expect_used, reason = "a measurement that goes wrong ends with its reason")]
    pub(crate) async fn in_front_of(upstream: SocketAddr) -> Self {
        let folder = TempDir::with_prefix_in("tidegate-nginx-", "/dev/shm").expect("a folder in memory");
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let addr = free.local_addr().expect("its address");
        drop(free);
        let configuration = folder.path().join("nginx.conf");
        std::fs::write(&configuration, configuration_text(folder.path(), addr, upstream)).expect("a file");
        let mut command = Command::new("nginx");
        command.env("PATH", path_with_system_programs());
        command.arg("-c").arg(&configuration).arg("-p").arg(folder.path()).arg("-e").arg("error.log");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let nginx = Self { addr, process: command.spawn().expect("nginx is installed"), folder };
        until("nginx listens", async || TcpStream::connect(addr).await.is_ok()).await;
        nginx
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Waits until `text` stands in what the cache holds. Its folder is read each millisecond; nginx itself is not
    /// asked, because a request would refresh what has expired.
    #[expect(clippy::expect_used, reason = "a measurement that goes wrong ends with its reason")]
    pub(crate) async fn holds(&self, text: &str) {
        let mut again = tokio::time::interval(Duration::from_millis(1));
        let held = async {
            while !is_held(&self.folder.path().join("cache"), text) {
                again.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, held).await.expect("what viewers ask for is held");
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Asked politely, it takes its workers with it.
        let asked = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        let ended = if asked.is_ok_and(|status| status.success()) { Ok(()) } else { self.process.kill() };
        let ended = ended.and_then(|()| self.process.wait());
        debug_assert!(ended.is_ok(), "nginx ends: {ended:?}");
    }
}

/// Whether a file of the cache that is in its place contains `text`. Those with a dot are still being written.
fn is_held(cache: &Path, text: &str) -> bool {
    let Ok(files) = std::fs::read_dir(cache) else { return false };
    let complete = files.flatten().filter(|file| !file.file_name().to_string_lossy().contains('.'));
    complete.filter_map(|file| std::fs::read(file.path()).ok()).any(|content| {
        let mut parts = content.windows(text.len());
        parts.any(|part| part == text.as_bytes())
    })
}

fn configuration_text(folder: &Path, listen: SocketAddr, upstream: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "user root; daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
         events {{ worker_connections 4096; }}
         http {{
             access_log off; tcp_nodelay on;
             client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
             uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
             proxy_cache_path {folder}/cache keys_zone=live:1m use_temp_path=off;
             upstream next {{ server {upstream}; keepalive 16; }}
             server {{
                 listen {listen};
                 location / {{
                     proxy_pass http://next; proxy_http_version 1.1; proxy_set_header Connection \"\";
                     proxy_cache live; proxy_cache_valid 200 1s; proxy_ignore_headers Cache-Control Expires;
                     proxy_cache_lock on; proxy_cache_use_stale updating;
                 }}
             }}
         }}"
    )
}

/// Where system programs live is left out of ordinary users' paths.
fn path_with_system_programs() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/usr/local/sbin:/sbin");
    path
}
