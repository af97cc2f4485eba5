//! nginx as a tier of a live channel, as its documentation advises for objects that change every few seconds.
//!
//! Cached objects live for a second (`proxy_cache_valid 200 1s`; this requires ignoring the origin's
//! `no-cache`), one request refreshes each of them (`proxy_cache_lock`), and other requests meanwhile get the
//! stale object (`proxy_cache_use_stale updating`). The cache is on tmpfs, connections to the next tier are
//! kept open.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_tests::PATIENCE;

use crate::program::Program;

/// A running nginx; dropping this value ends it.
#[derive(Debug)]
pub(crate) struct Nginx {
    program: Program,
    cache: PathBuf,
}

impl Nginx {
    /// Starts one in front of `upstream`.
    pub(crate) async fn in_front_of(upstream: SocketAddr) -> Self {
        let mut cache = PathBuf::new();
        let program = Program::nginx(|folder, addr| {
            cache = folder.join("cache");
            configuration_text(folder, addr, upstream)
        });
        let program = program.await;
        Self { program, cache }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.program.addr()
    }

    /// Waits until a cached object contains `text`. The cache's folder is read each millisecond; nginx itself
    /// receives no request, because that would refresh expired objects.
    #[expect(clippy::expect_used, reason = "a measurement that goes wrong ends with its reason")]
    pub(crate) async fn caches(&self, text: &str) {
        let mut again = tokio::time::interval(Duration::from_millis(1));
        let cached = async {
            while !is_cached(&self.cache, text) {
                again.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, cached).await.expect("the requested object is cached");
    }
}

/// Whether a complete file of the cache contains `text`. Files with a dot are still being written.
fn is_cached(cache: &Path, text: &str) -> bool {
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
