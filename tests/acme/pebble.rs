//! Pebble, a real ACME authority for tests: it validates hosts over loopback, where a resolver of the test
//! leads it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::json;
use tempfile::TempDir;
use tidegate_proxy::config::acme::{Acme, Challenge};
use tidegate_proxy::config::tls::Listen;
use tidegate_tests::{Authority, Resolver, authority, resolver, until};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

/// An authority; dropping it ends its process and deletes its storage for nodes.
#[derive(Debug)]
pub(crate) struct Pebble {
    listen: SocketAddr,
    plain: SocketAddr,
    tls: SocketAddr,
    authority: Authority,
    resolver: Resolver,
    folder: TempDir,
    process: Option<Child>,
}

/// One more than the authorities of this process so far.
static NUMBER: AtomicU8 = AtomicU8::new(64);

impl Pebble {
    /// An authority that is not started. Its addresses are reserved: it has a loopback address of its own.
    pub(crate) async fn down() -> Self {
        let [.., high, low] = std::process::id().to_be_bytes();
        let ip = Ipv4Addr::new(127, NUMBER.fetch_add(1, Ordering::Relaxed), high, low);
        let (listen, plain, tls) = (free(ip).await, free(ip).await, free(ip).await);
        let folder = TempDir::with_prefix("tidegate-acme-").unwrap();
        let (authority, resolver) = (authority(), resolver().await);
        Self { listen, plain, tls, authority, resolver, folder, process: None }
    }

    /// Starts an authority whose certificates are valid for this number of seconds.
    pub(crate) async fn start(valid_secs: u64) -> Self {
        let mut pebble = Self::down().await;
        pebble.up(valid_secs).await;
        pebble
    }

    /// Starts it.
    pub(crate) async fn up(&mut self, valid_secs: u64) {
        let own = self.authority.issue(&[&self.listen.ip().to_string()]);
        let config = json!({ "pebble": {
            "listenAddress": self.listen, "managementListenAddress": "",
            "certificate": own.certificate, "privateKey": own.key,
            "httpPort": self.plain.port(), "tlsPort": self.tls.port(),
            "ocspResponderURL": "", "externalAccountBindingRequired": false,
            "certificateValidityPeriod": valid_secs,
        }});
        let file = self.folder.path().join("pebble.json");
        std::fs::write(&file, config.to_string()).expect("a file");
        let process = Command::new("pebble")
            .args(["-strict", "-dnsserver", &self.resolver.addr().to_string(), "-config"])
            .arg(&file)
            // No pauses, and a validation for each order.
            .envs([("PEBBLE_VA_NOSLEEP", "1"), ("PEBBLE_AUTHZREUSE", "0"), ("PEBBLE_WFE_NONCEREJECT", "0")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        self.process = Some(process.expect("pebble; install it: apt-get install pebble"));
        until("pebble listens", async || TcpStream::connect(self.listen).await.is_ok()).await;
    }

    /// From now on it validates this host at [`Pebble::plain`] and [`Pebble::tls`].
    pub(crate) fn knows(&self, host: &str) {
        self.resolver.host(host, 60, &[&self.listen.ip().to_string()]);
    }

    /// The address where it validates by HTTP-01.
    pub(crate) fn plain(&self) -> SocketAddr {
        self.plain
    }

    /// The address where it validates by TLS-ALPN-01.
    pub(crate) fn tls(&self) -> SocketAddr {
        self.tls
    }

    /// The storage for nodes.
    pub(crate) fn storage(&self) -> &Path {
        self.folder.path()
    }

    /// A listener for TLS whose certificates this authority issues.
    pub(crate) fn listen(&self, address: SocketAddr, hosts: &[&str], challenge: Challenge) -> Listen {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        let storage = self.storage().join("shared").to_str().expect("a path in UTF-8").to_owned();
        let acme = Acme {
            directory: format!("https://{}/dir", self.listen),
            ca: Some(self.authority.file()),
            email: Some("ops@live.example".to_owned()),
            challenge,
            ..Acme::new(hosts, storage)
        };
        Listen::with_acme(address, acme)
    }
}

/// An address that is free. No other process takes a port of this IP address.
async fn free(ip: Ipv4Addr) -> SocketAddr {
    let listener = TcpListener::bind((IpAddr::from(ip), 0)).await.expect("a free port");
    listener.local_addr().expect("its address")
}
