//! The configuration of each server: the same lifetime, no access log, persistent connections, one
//! certificate.

use std::net::SocketAddr;
use std::path::Path;

use super::servers::Setting;

/// The size of the object at any path below `/any/`.
pub(crate) const ANY_BYTES: usize = 512;

/// The file with the secret of tokens, beside the certificate.
pub(crate) const SECRET_FILE: &str = "a.key";

/// The origin of all servers, an nginx with static files. All objects are fresh for a day, except below
/// `/private/`. Any path below `/new/` is the playlist, and any path below `/new-200k/` the object of 200
/// KiB.
pub(crate) fn origin(listen: SocketAddr, folder: &Path, media: &Path) -> String {
    let any = "a".repeat(ANY_BYTES);
    nginx_with(
        folder,
        1,
        &format!(
            "keepalive_timeout 1h; keepalive_requests 1000000000; sendfile on; tcp_nodelay on;
             open_file_cache max=1000 inactive=1h; open_file_cache_valid 1h;
             server {{
                 listen {listen} backlog=4096; root {media};
                 location / {{ add_header Cache-Control max-age=86400; access_log {folder}/access.log; }}
                 location /new/ {{ add_header Cache-Control max-age=86400; try_files /bench/playlist.m3u8 =404; }}
                 location /new-200k/ {{ add_header Cache-Control max-age=86400; try_files /bench/small.ts =404; }}
                 location /private/ {{ add_header Cache-Control private; try_files /bench/playlist.m3u8 =404; }}
                 location /any/ {{ add_header Cache-Control max-age=86400; add_header ETag '\"any\"'; return 200 \"{any}\"; }}
             }}",
            media = media.display(),
            folder = folder.display()
        ),
    )
}

/// nginx as a cache, with all options that make it fast. `http2_chunk_size` has its maximum, which costs
/// least.
pub(crate) fn nginx(setting: &Setting<'_>) -> String {
    let Setting { listen, tls, origin, folder, certificate, key, threads, .. } = setting;
    nginx_with(
        folder,
        *threads,
        &format!(
            "proxy_cache_path {folder}/cache levels=1:2 keys_zone=bench:64m max_size=512m inactive=1d use_temp_path=off;
             open_file_cache max=10000 inactive=1h; open_file_cache_valid 1h;
             sendfile on; tcp_nopush on; tcp_nodelay on;
             keepalive_timeout 1h; keepalive_requests 1000000000;
             ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;
             ssl_session_cache shared:tls:10m; http2_chunk_size 16k; http2_max_concurrent_streams 128;
             upstream origin {{ server {origin}; keepalive 256; keepalive_requests 1000000000; }}
             server {{
                 listen {listen} backlog=4096 reuseport; listen {tls} ssl http2 backlog=4096 reuseport;
                 location / {{
                     proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection \"\";
                     proxy_cache bench; proxy_cache_lock on;
                 }}
             }}",
            folder = folder.display(),
            certificate = certificate.display(),
            key = key.display()
        ),
    )
}

fn nginx_with(folder: &Path, workers: usize, inner: &str) -> String {
    let folder = folder.display();
    format!(
        "user root; daemon off; worker_processes {workers}; worker_rlimit_nofile 20000;
         pid {folder}/nginx.pid; error_log {folder}/error.log;
         events {{ worker_connections 20000; }}
         http {{
             types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; }}
             access_log off;
             client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
             uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
             {inner}
         }}"
    )
}

/// An edge without a shield. The origin is not probed, since some measurements have none for a while.
/// `sendfile` is the memory for sendfile copies, if not the default.
pub(crate) fn tidegate(setting: &Setting<'_>, sendfile: Option<&str>) -> String {
    let Setting { listen, tls, operators, origin, certificate, key, memory, .. } = setting;
    let sendfile = sendfile.map(|size| format!("sendfile = \"{size}\"\n")).unwrap_or_default();
    format!(
        "shields = []
[listen]
viewers = \"{listen}\"
operators = \"{operators}\"
[listen.tls]
address = \"{tls}\"
certificate = \"{certificate}\"
key = \"{key}\"
[cache]
memory = \"{memory}\"
{sendfile}[viewers]
idle_timeout = \"1h\"
[limits]
exempt = [\"127.0.0.0/8\"]
[upstream.probe]
kind = \"off\"
[log]
access = \"off\"
[[site]]
origins = [\"http://{origin}\"]
",
        certificate = certificate.display(),
        key = key.display()
    )
}

/// What a site that checks tokens has more.
pub(crate) fn tokens(setting: &Setting<'_>) -> String {
    let key = setting.certificate.with_file_name(SECRET_FILE);
    format!("[site.token]\nkeys = [\"{}\"]\n", key.display())
}

/// Varnish's arguments: storage by malloc, and its working folder in memory as its documentation advises.
/// Idle connections stay open as long as with the other servers, and the backlog is as long as theirs. Any
/// number of small objects may be evicted for a large one.
pub(crate) fn varnish(setting: &Setting<'_>) -> Vec<String> {
    let Setting { listen, origin, folder, memory, .. } = setting;
    let storage = format!("malloc,{}", memory.replace("iB", ""));
    let words = ["-F", "-a", &listen.to_string(), "-b", &origin.to_string(), "-s", &storage, "-n"];
    let parameters = ["timeout_idle=3600", "listen_depth=4096", "thread_pool_min=200", "nuke_limit=10000"];
    let words = words.into_iter().map(str::to_owned).chain([folder.display().to_string()]);
    words.chain(parameters.iter().flat_map(|parameter| ["-p".to_owned(), (*parameter).to_owned()])).collect()
}
