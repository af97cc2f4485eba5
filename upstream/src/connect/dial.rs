//! A new connection to a name with several addresses: a dead address delays a request, and does not fail it.
//!
//! The address in use comes first. When it fails, or after a short delay, the next address is tried as well,
//! and the first connection wins (RFC 8305 section 5).

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::error::UpstreamError;

/// The delay after which the next address is tried as well (RFC 8305 section 8: 250 ms).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The most addresses for one connection.
const ADDRESSES_MAX: usize = 8;

/// Connects to `first`, or to one of the `others`. `connect` has a timeout of its own; `failed` is called for
/// each address that failed. Returns the address of the connection.
///
/// # Errors
/// The error of the last address.
pub(crate) async fn dial<T, F: Future<Output = Result<T, UpstreamError>>>(
    first: SocketAddr,
    others: impl FnOnce() -> Vec<SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
    failed: impl Fn(SocketAddr),
) -> Result<(SocketAddr, T), UpstreamError> {
    let mut attempt = Box::pin(connect(first));
    let early = timeout(ATTEMPT_DELAY, &mut attempt).await;
    if let Ok(Ok(connection)) = early {
        return Ok((first, connection));
    }
    let others = others();
    let mut race = Race { running: Vec::new() };
    match early {
        Ok(Err(error)) => {
            failed(first);
            if others.is_empty() {
                return Err(error);
            }
        }
        _ => race.running.push((first, attempt)),
    }
    let mut next = in_turn(first, others).into_iter().take(ADDRESSES_MAX - 1).peekable();
    race.running.extend(next.next().map(|address| (address, Box::pin(connect(address)))));
    loop {
        let delay = async {
            match next.peek() {
                Some(_) => sleep(ATTEMPT_DELAY).await,
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            biased;
            ended = race.next_end() => Some(ended),
            () = delay => None,
        };
        match ended {
            Some((address, Ok(connection))) => return Ok((address, connection)),
            Some((address, Err(error))) => {
                failed(address);
                if next.peek().is_none() && race.running.is_empty() {
                    return Err(error);
                }
            }
            None => {}
        }
        race.running.extend(next.next().map(|address| (address, Box::pin(connect(address)))));
    }
}

/// The addresses of both families in turn, beginning with the family that `first` is not of: one family may
/// have no route (RFC 8305 section 4).
fn in_turn(first: SocketAddr, others: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let (same, other): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|address| address.is_ipv6() == first.is_ipv6());
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    let mut turned = Vec::new();
    loop {
        let before = turned.len();
        turned.extend(other.next());
        turned.extend(same.next());
        if turned.len() == before {
            return turned;
        }
    }
}

/// The attempts under way.
struct Race<F> {
    running: Vec<(SocketAddr, Pin<Box<F>>)>,
}

impl<T, F: Future<Output = Result<T, UpstreamError>>> Race<F> {
    /// Waits for the next attempt to end.
    async fn next_end(&mut self) -> (SocketAddr, Result<T, UpstreamError>) {
        poll_fn(|context| {
            for index in 0..self.running.len() {
                let Some((address, attempt)) = self.running.get_mut(index) else { break };
                if let Poll::Ready(result) = attempt.as_mut().poll(context) {
                    let address = *address;
                    self.running.swap_remove(index);
                    return Poll::Ready((address, result));
                }
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use tokio::time::Instant;

    use super::*;

    #[derive(Clone, Copy)]
    enum Server {
        Refuses,
        Silent,
        Accepts,
    }

    fn at(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 80))
    }

    /// Dials addresses with these servers; returns the connected one, the failed ones and the time.
    async fn dialled(servers: &[Server]) -> (Result<SocketAddr, UpstreamError>, Vec<SocketAddr>, Duration) {
        let (began, failed) = (Instant::now(), Mutex::new(Vec::new()));
        let last = u8::try_from(servers.len()).unwrap();
        let connect = async |address: SocketAddr| {
            let std::net::IpAddr::V4(ip) = address.ip() else { panic!("it is IPv4") };
            match servers[usize::from(ip.octets()[3] - 1)] {
                Server::Refuses => Err(UpstreamError::Refused),
                Server::Silent => {
                    sleep(Duration::from_secs(2)).await;
                    Err(UpstreamError::ConnectTimeout)
                }
                Server::Accepts => Ok(()),
            }
        };
        let others = || (2..=last).map(at).collect();
        let result = dial(at(1), others, connect, |address| failed.lock().push(address)).await;
        (result.map(|(address, ())| address), failed.into_inner(), began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_address_delays_a_connection_and_does_not_fail_it() {
        use Server::{Accepts, Refuses, Silent};
        let ms = Duration::from_millis;
        for (servers, address, failed, took) in [
            (&[Accepts, Accepts][..], Ok(at(1)), vec![], ms(0)),
            (&[Refuses, Accepts], Ok(at(2)), vec![at(1)], ms(0)),
            (&[Refuses, Refuses, Refuses, Accepts], Ok(at(4)), vec![at(1), at(2), at(3)], ms(0)),
            (&[Silent, Accepts], Ok(at(2)), vec![], ms(250)),
            (&[Silent, Silent, Silent, Accepts], Ok(at(4)), vec![], ms(750)),
            (&[Silent, Refuses, Accepts], Ok(at(3)), vec![at(2)], ms(250)),
            (&[Refuses], Err(UpstreamError::Refused), vec![at(1)], ms(0)),
            (&[Refuses, Refuses], Err(UpstreamError::Refused), vec![at(1), at(2)], ms(0)),
            (&[Silent], Err(UpstreamError::ConnectTimeout), vec![at(1)], ms(2000)),
        ] {
            let got = dialled(servers).await;
            assert_eq!((&got.0, &got.1), (&address, &failed));
            assert!(got.2.abs_diff(took) <= ms(2), "{:?} for {took:?}", got.2);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_addresses_for_one_connection_are_limited() {
        let (_, failed, _) = dialled(&[Server::Refuses; 20]).await;
        assert_eq!(failed.len(), ADDRESSES_MAX);
    }

    #[test]
    fn the_families_take_turns() {
        let six = |last: u16| SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, last], 80));
        let turned = in_turn(at(1), vec![at(2), at(3), six(1), six(2)]);
        assert_eq!(turned, [six(1), at(2), six(2), at(3)]);
    }
}
