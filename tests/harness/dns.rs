//! A DNS resolver on loopback whose records a test can change while it runs.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, OpCode, ResponseCode};
/// The type of a record.
pub use hickory_proto::rr::RecordType as Kind;
use hickory_proto::rr::rdata::{CNAME, SRV};
use hickory_proto::rr::{Name, RData, Record};
use tokio::net::UdpSocket;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// A running resolver. Its zone is empty at first.
#[derive(Debug)]
pub struct Resolver {
    addr: SocketAddr,
    zone: Arc<Zone>,
    _stop: DropGuard,
}

/// An SRV record: priority, weight, port, target.
pub type Service<'a> = (u16, u16, u16, &'a str);

#[derive(Debug, Default)]
struct Zone {
    names: Mutex<HashMap<String, Entry>>,
    queries: Mutex<HashMap<(String, Kind), u64>>,
}

#[derive(Debug, Clone)]
enum Entry {
    Records { lifetime: u32, data: Vec<RData> },
    Fails,
    Silent,
}

/// Starts a resolver.
pub async fn resolver() -> Resolver {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let (addr, zone) = (socket.local_addr().expect("its address"), Arc::<Zone>::default());
    let (stop, shared) = (CancellationToken::new(), Arc::clone(&zone));
    let stopped = stop.clone();
    TaskTracker::new().spawn(async move { stopped.run_until_cancelled(serve(socket, shared)).await });
    Resolver { addr, zone, _stop: stop.drop_guard() }
}

impl Resolver {
    /// Its address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on a host has these addresses (A, AAAA), with this TTL in seconds.
    pub fn host(&self, name: &str, lifetime: u32, addresses: &[&str]) {
        let data = addresses.iter().map(|address| {
            let ip: IpAddr = address.parse().expect("an address");
            RData::from(ip)
        });
        self.set(name, Entry::Records { lifetime, data: data.collect() });
    }

    /// From now on a name is an alias of `target` (CNAME).
    pub fn alias(&self, name: &str, lifetime: u32, target: &str) {
        let data = vec![RData::CNAME(CNAME(with_root(target)))];
        self.set(name, Entry::Records { lifetime, data });
    }

    /// From now on a service has these servers (SRV).
    pub fn service(&self, name: &str, lifetime: u32, servers: &[Service<'_>]) {
        let data = servers.iter().map(|(priority, weight, port, target)| {
            RData::SRV(SRV::new(*priority, *weight, *port, with_root(target)))
        });
        self.set(name, Entry::Records { lifetime, data: data.collect() });
    }

    /// From now on the name does not exist (NXDOMAIN).
    pub fn remove(&self, name: &str) {
        self.zone.names.lock().expect("a zone").remove(name);
    }

    /// From now on queries for a name fail with SERVFAIL.
    pub fn fail(&self, name: &str) {
        self.set(name, Entry::Fails);
    }

    /// From now on queries for a name get no response.
    pub fn silence(&self, name: &str) {
        self.set(name, Entry::Silent);
    }

    /// The number of queries for a name, repeated ones included.
    pub fn queries(&self, name: &str, kind: Kind) -> u64 {
        let queries = self.zone.queries.lock().expect("counters");
        queries.get(&(name.to_owned(), kind)).copied().unwrap_or_default()
    }

    fn set(&self, name: &str, entry: Entry) {
        self.zone.names.lock().expect("a zone").insert(name.to_owned(), entry);
    }
}

async fn serve(socket: UdpSocket, zone: Arc<Zone>) {
    let mut buffer = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let message = Message::from_vec(&buffer[..length]).expect("a DNS message");
        if let Some(response) = zone.response(&message) {
            socket.send_to(&response.to_vec().expect("a response"), from).await.expect("a reachable client");
        }
    }
}

impl Zone {
    fn response(&self, message: &Message) -> Option<Message> {
        let query = message.queries.first().expect("a query");
        let (name, kind) = (without_root(query.name()), query.query_type());
        *self.queries.lock().expect("counters").entry((name.clone(), kind)).or_default() += 1;
        let mut response = Message::response(message.metadata.id, OpCode::Query);
        response.metadata.recursion_desired = message.metadata.recursion_desired;
        response.metadata.recursion_available = true;
        response.add_query(query.clone());
        let entry = self.names.lock().expect("a zone").get(&name).cloned();
        match entry {
            Some(Entry::Silent) => return None,
            Some(Entry::Fails) => response.metadata.response_code = ResponseCode::ServFail,
            Some(Entry::Records { lifetime, data }) => {
                let fits =
                    |data: &RData| matches!(data.record_type(), Kind::CNAME) || data.record_type() == kind;
                let data = data.into_iter().filter(fits);
                response
                    .add_answers(data.map(|data| Record::from_rdata(query.name().clone(), lifetime, data)));
            }
            None => response.metadata.response_code = ResponseCode::NXDomain,
        }
        Some(response)
    }
}

fn with_root(name: &str) -> Name {
    let mut name = Name::from_ascii(name).expect("a name");
    name.set_fqdn(true);
    name
}

fn without_root(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}
