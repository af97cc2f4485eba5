//! CMSD (CTA-5006): what the kernel estimates of a viewer's connection, for the player.

use std::os::fd::{AsRawFd as _, RawFd};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use parking_lot::Mutex;
use pingora_core::protocols::l4::ext::get_tcp_info;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// The field with estimates. Its members are of the servers on the way, the last one nearest to the viewer.
pub(crate) static CMSD_DYNAMIC: HeaderName = HeaderName::from_static("cmsd-dynamic");

/// The estimates of one connection.
#[derive(Debug)]
pub(crate) struct Estimates {
    /// The socket. A response that outlives it may have the estimates of another connection, and no receiver.
    socket: RawFd,
    /// The rendered member, and when it was made.
    rendered: Mutex<Option<(Instant, HeaderValue)>>,
}

impl Estimates {
    pub(super) fn of(stream: &TcpStream) -> Self {
        Self { socket: stream.as_raw_fd(), rendered: Mutex::new(None) }
    }

    /// The member of a node; `None` if the kernel has no estimates. The kernel is called once a second at
    /// most.
    pub(crate) fn member(&self, node: &str, now: Instant) -> Option<HeaderValue> {
        let mut rendered = self.rendered.lock();
        if let Some((at, member)) = &*rendered
            && now.saturating_duration_since(*at) < MAX_AGE
        {
            return Some(member.clone());
        }
        let estimates = get_tcp_info(self.socket).ok()?;
        let member = member(node, estimates.tcpi_delivery_rate, estimates.tcpi_rtt)?;
        *rendered = Some((now, member.clone()));
        Some(member)
    }
}

/// The member for a throughput in bytes per second and a round trip in microseconds; zero if there is no
/// estimate. `etp` is in kilobits per second, `rtt` in milliseconds.
fn member(node: &str, bytes_per_second: u64, round_trip: u32) -> Option<HeaderValue> {
    let throughput = bytes_per_second.saturating_mul(8) / 1000;
    let throughput = if throughput > 0 { format!(";etp={throughput}") } else { String::new() };
    let round_trip = (round_trip > 0).then(|| format!(";rtt={}", round_trip.div_ceil(1000)));
    let member = format!("\"{node}\"{throughput}{}", round_trip.unwrap_or_default());
    HeaderValue::try_from(member).ok()
}

/// How long a rendered member is used.
const MAX_AGE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn estimates_are_kilobits_and_milliseconds() {
        assert_eq!(member("edge-1", 1_250_000, 20_400).unwrap(), "\"edge-1\";etp=10000;rtt=21");
        assert_eq!(member("edge-1", 0, 0).unwrap(), "\"edge-1\"");
    }

    #[tokio::test]
    async fn a_connection_has_a_round_trip_and_its_member_is_kept_for_a_second() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        server.write_all(b"x").await.unwrap();
        client.read_exact(&mut [0]).await.unwrap();
        let (estimates, now) = (Estimates::of(&server), Instant::now());
        let member = estimates.member("edge-1", now).unwrap();
        let text = member.to_str().unwrap();
        assert!(text.starts_with("\"edge-1\";") && text.contains(";rtt="), "{text}");
        assert_eq!(estimates.member("another", now + MAX_AGE / 2).unwrap(), member);
        assert_ne!(estimates.member("another", now + MAX_AGE).unwrap(), member);
    }
}
