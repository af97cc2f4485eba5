//! nginx and Varnish as a tier in front of a primary origin and a backup, as their documentation advises.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::program::{Program, write};

/// nginx: cached playlists live for a second, one request refreshes them, the next upstream is tried when one
/// fails, and stale objects are served while no upstream responds.
pub(crate) async fn nginx(primary: SocketAddr, backup: SocketAddr) -> Program {
    Program::nginx(|folder, addr| nginx_conf(folder, addr, primary, backup)).await
}

/// Varnish: a director that falls back, probes each second, and a retry at the other backend.
pub(crate) async fn varnish(primary: SocketAddr, backup: SocketAddr) -> Program {
    Program::start(|folder, addr| {
        let configuration = write(folder, "fallback.vcl", &vcl(primary, backup));
        let mut command = Command::new("varnishd");
        command.args(["-F", "-a", &addr.to_string(), "-s", "malloc,256m", "-f"]).arg(configuration);
        command.arg("-n").arg(folder.join("varnish"));
        command
    })
    .await
}

fn nginx_conf(folder: &Path, listen: SocketAddr, primary: SocketAddr, backup: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "user root; daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
         events {{ worker_connections 4096; }}
         http {{
             access_log off; tcp_nodelay on;
             client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
             uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
             proxy_cache_path {folder}/cache keys_zone=live:1m use_temp_path=off;
             upstream origins {{ server {primary} max_fails=1 fail_timeout=2s; server {backup} backup; keepalive 16; }}
             proxy_http_version 1.1; proxy_set_header Connection \"\";
             proxy_connect_timeout 2s; proxy_read_timeout 5s;
             proxy_next_upstream error timeout invalid_header http_500 http_502 http_503 http_504;
             proxy_cache live; proxy_cache_lock on; proxy_ignore_headers Cache-Control Expires;
             proxy_cache_use_stale error timeout invalid_header updating http_500 http_502 http_503 http_504;
             server {{
                 listen {listen};
                 location / {{ proxy_pass http://origins; proxy_cache_valid 200 10m; }}
                 location ~ m3u8$ {{ proxy_pass http://origins; proxy_cache_valid 200 1s; }}
             }}
         }}"
    )
}

fn vcl(primary: SocketAddr, backup: SocketAddr) -> String {
    let backend = |name: &str, at: SocketAddr| {
        format!(
            "backend {name} {{
                 .host = \"{}\"; .port = \"{}\"; .probe = alive;
                 .connect_timeout = 2s; .first_byte_timeout = 10s; .between_bytes_timeout = 5s;
             }}\n",
            at.ip(),
            at.port()
        )
    };
    format!(
        "vcl 4.1;
         import directors;
         probe alive {{ .url = \"/healthz\"; .interval = 1s; .timeout = 1s; .window = 3; .threshold = 2; .initial = 3; }}
         {}{}
         sub vcl_init {{
             new origins = directors.fallback();
             origins.add_backend(one);
             origins.add_backend(two);
         }}
         sub vcl_recv {{ set req.backend_hint = origins.backend(); }}
         sub vcl_backend_fetch {{ if (bereq.retries > 0) {{ set bereq.backend = two; }} }}
         sub vcl_backend_response {{
             if (beresp.status >= 500 && bereq.retries < 1) {{ return (retry); }}
             if (bereq.url ~ \"m3u8$\") {{
                 unset beresp.http.Cache-Control;
                 set beresp.ttl = 1s; set beresp.grace = 30s;
                 return (deliver);
             }}
         }}
         sub vcl_backend_error {{ if (bereq.retries < 1) {{ return (retry); }} }}",
        backend("one", primary),
        backend("two", backup)
    )
}
