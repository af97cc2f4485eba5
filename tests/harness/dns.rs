//! A resolver on loopback, whose records a test changes while it is asked.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, OpCode, ResponseCode};
/// Which records are asked for.
pub use hickory_proto::rr::RecordType as Kind;
use hickory_proto::rr::rdata::{CNAME, SRV};
use hickory_proto::rr::{Name, RData, Record};
use tokio::net::UdpSocket;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// A resolver that runs. It knows no name at first.
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
    asked: Mutex<HashMap<(String, Kind), u64>>,
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
    let (stop, known) = (CancellationToken::new(), Arc::clone(&zone));
    let told = stop.clone();
    TaskTracker::new().spawn(async move { told.run_until_cancelled(serve(socket, known)).await });
    Resolver { addr, zone, _stop: stop.drop_guard() }
}

impl Resolver {
    /// Where it is asked.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on a host has these addresses (A, AAAA), for so many seconds.
    pub fn host(&self, name: &str, lifetime: u32, addresses: &[&str]) {
        let data = addresses.iter().map(|address| {
            let ip: IpAddr = address.parse().expect("an address");
            RData::from(ip)
        });
        self.set(name, Entry::Records { lifetime, data: data.collect() });
    }

    /// From now on a name is another name for `target` (CNAME).
    pub fn alias(&self, name: &str, lifetime: u32, target: &str) {
        let data = vec![RData::CNAME(CNAME(whole(target)))];
        self.set(name, Entry::Records { lifetime, data });
    }

    /// From now on a service has these servers (SRV).
    pub fn service(&self, name: &str, lifetime: u32, servers: &[Service<'_>]) {
        let data = servers.iter().map(|(priority, weight, port, target)| {
            RData::SRV(SRV::new(*priority, *weight, *port, whole(target)))
        });
        self.set(name, Entry::Records { lifetime, data: data.collect() });
    }

    /// From now on there is no such name (NXDOMAIN).
    pub fn forgets(&self, name: &str) {
        self.zone.names.lock().expect("a zone").remove(name);
    }

    /// From now on questions for a name are answered with SERVFAIL.
    pub fn fails(&self, name: &str) {
        self.set(name, Entry::Fails);
    }

    /// From now on questions for a name are not answered.
    pub fn is_silent(&self, name: &str) {
        self.set(name, Entry::Silent);
    }

    /// How many questions came for a name, repeated ones too.
    pub fn asked(&self, name: &str, kind: Kind) -> u64 {
        let asked = self.zone.asked.lock().expect("counters");
        asked.get(&(name.to_owned(), kind)).copied().unwrap_or_default()
    }

    fn set(&self, name: &str, entry: Entry) {
        self.zone.names.lock().expect("a zone").insert(name.to_owned(), entry);
    }
}

async fn serve(socket: UdpSocket, zone: Arc<Zone>) {
    let mut buffer = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let question = Message::from_vec(&buffer[..length]).expect("a question");
        if let Some(answer) = zone.answer(&question) {
            socket.send_to(&answer.to_vec().expect("an answer"), from).await.expect("a way back");
        }
    }
}

impl Zone {
    fn answer(&self, question: &Message) -> Option<Message> {
        let query = question.queries.first().expect("a question asks for something");
        let (name, kind) = (plain(query.name()), query.query_type());
        *self.asked.lock().expect("counters").entry((name.clone(), kind)).or_default() += 1;
        let mut answer = Message::response(question.metadata.id, OpCode::Query);
        answer.metadata.recursion_desired = question.metadata.recursion_desired;
        answer.metadata.recursion_available = true;
        answer.add_query(query.clone());
        let entry = self.names.lock().expect("a zone").get(&name).cloned();
        match entry {
            Some(Entry::Silent) => return None,
            Some(Entry::Fails) => answer.metadata.response_code = ResponseCode::ServFail,
            Some(Entry::Records { lifetime, data }) => {
                let fits =
                    |data: &RData| matches!(data.record_type(), Kind::CNAME) || data.record_type() == kind;
                let data = data.into_iter().filter(fits);
                answer.add_answers(data.map(|data| Record::from_rdata(query.name().clone(), lifetime, data)));
            }
            None => answer.metadata.response_code = ResponseCode::NXDomain,
        }
        Some(answer)
    }
}

fn whole(name: &str) -> Name {
    let mut name = Name::from_ascii(name).expect("a name");
    name.set_fqdn(true);
    name
}

fn plain(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}
