//! nginx as the origin: with its own configuration, folder, ports and process, in the foreground.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;

use crate::player;
use crate::process::{Process, free_port, until};

/// A running nginx that serves HLS from its own folder.
#[derive(Debug)]
pub(crate) struct Nginx {
    /// Dropped first: the folder must outlive the process.
    pub(crate) process: Process,
    pub(crate) http: String,
    pub(crate) rtmp: String,
    pub(crate) folder: TempDir,
}

impl Nginx {
    /// Serves files that another program writes into [`Nginx::media`].
    pub(crate) fn serving_files() -> Self {
        Self::start(|_, _| String::new())
    }

    /// Accepts RTMP at [`Nginx::rtmp`] and makes HLS from it.
    pub(crate) fn making_hls_of_rtmp() -> Self {
        Self::start(|media, port| {
            format!(
                "rtmp {{ server {{ listen 127.0.0.1:{port}; application live {{
                    live on; hls on; hls_path {media}; hls_fragment 2s; hls_playlist_length 12s;
                }} }} }}",
                media = media.display()
            )
        })
    }

    fn start(rtmp: impl Fn(&Path, u16) -> String) -> Self {
        let folder = TempDir::with_prefix("tidegate-nginx-").expect("a folder for nginx");
        let root = folder.path();
        let media = root.join("media");
        std::fs::create_dir(&media).expect("a folder for the media");
        let (http_port, rtmp_port) = (free_port(), free_port());
        let configuration = root.join("nginx.conf");
        let text = configuration_text(root, http_port, &rtmp(&media, rtmp_port));
        std::fs::write(&configuration, text).expect("nginx's configuration");

        let mut command = Command::new(program());
        command.arg("-c").arg(&configuration).arg("-p").arg(root).arg("-e").arg(root.join("error.log"));
        Self {
            process: Process::start("nginx", &mut command, root),
            http: format!("http://127.0.0.1:{http_port}"),
            rtmp: format!("rtmp://127.0.0.1:{rtmp_port}/live/show"),
            folder,
        }
    }

    /// The served folder.
    pub(crate) fn media(&self) -> PathBuf {
        self.folder.path().join("media")
    }

    /// Waits until nginx accepts requests; an error for the top folder is a response as well.
    pub(crate) async fn wait_until_ready(&self) {
        until("nginx responds", Duration::from_secs(10), async || {
            player::text(&self.http).await.err().filter(|complaint| complaint.contains("403"))
        })
        .await;
    }

    /// The number of reads of each path.
    pub(crate) fn reads(&self) -> BTreeMap<String, u64> {
        let log =
            std::fs::read_to_string(self.folder.path().join("access.log")).expect("nginx writes its log");
        let mut reads = BTreeMap::new();
        for path in log.lines() {
            *reads.entry(path.to_owned()).or_default() += 1;
        }
        reads
    }
}

fn configuration_text(root: &Path, port: u16, rtmp: &str) -> String {
    let module = if rtmp.is_empty() { "" } else { "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;" };
    let user = if program_runs_as_root(root) { "user root;" } else { "" };
    let root = root.display();
    format!(
        "{module} {user} daemon off; master_process off; pid {root}/nginx.pid; error_log {root}/error.log;
         events {{ worker_connections 512; }}
         {rtmp}
         http {{
             types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; video/mp4 mp4 m4s; }}
             log_format reads '$uri';
             access_log {root}/access.log reads;
             client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi;
             uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
             server {{
                 listen 127.0.0.1:{port};
                 root {root}/media;
                 location ~ m3u8$ {{ add_header Cache-Control no-cache; }}
                 location ~ /shared/.*key$ {{ add_header Cache-Control max-age=60; }}
                 location ~ /guarded/.*key$ {{ add_header Cache-Control no-store; }}
             }}
         }}"
    )
}

/// When root starts it, nginx gives its workers another user, which may not write into our folder.
fn program_runs_as_root(own: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    own.metadata().expect("our folder is there").uid() == 0
}

/// The PATH of ordinary users lacks the folder where Debian installs nginx.
fn program() -> &'static str {
    if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" }
}
