//! How each server is told to cache: the same lifetime, no access log, connections that stay.

use std::net::SocketAddr;
use std::path::Path;

/// nginx with static files; everything may be kept for a day.
pub(crate) fn origin(listen: SocketAddr, folder: &Path, media: &Path) -> String {
    nginx_with(
        folder,
        "access.log",
        &format!(
            "server {{
                listen {listen}; root {media};
                add_header Cache-Control max-age=86400;
            }}",
            media = media.display()
        ),
    )
}

/// nginx as a cache, with everything on that makes it fast.
pub(crate) fn nginx(listen: SocketAddr, origin: SocketAddr, folder: &Path) -> String {
    nginx_with(
        folder,
        "off",
        &format!(
            "proxy_cache_path {folder}/cache levels=1:2 keys_zone=bench:10m max_size=256m inactive=1d use_temp_path=off;
             open_file_cache max=1000 inactive=1h; open_file_cache_valid 1h;
             sendfile on; tcp_nopush on; tcp_nodelay on;
             keepalive_timeout 1h; keepalive_requests 1000000000;
             server {{
                 listen {listen} backlog=4096;
                 location / {{ proxy_pass http://{origin}; proxy_cache bench; proxy_cache_lock on; }}
             }}",
            folder = folder.display()
        ),
    )
}

fn nginx_with(folder: &Path, access_log: &str, inner: &str) -> String {
    let folder = folder.display();
    let log = if access_log == "off" { "off".to_owned() } else { format!("{folder}/{access_log}") };
    format!(
        "user root; daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
         events {{ worker_connections 4096; }}
         http {{
             types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; }}
             access_log {log};
             client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
             uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
             {inner}
         }}"
    )
}

/// An edge that asks the origin itself.
pub(crate) fn tidegate(listen: SocketAddr, operators: SocketAddr, origin: SocketAddr) -> String {
    format!(
        "shields = []
[listen]
viewers = \"{listen}\"
operators = \"{operators}\"
[cache]
memory = \"256MiB\"
[log]
access = \"off\"
[[site]]
origins = [\"http://{origin}\"]
"
    )
}
