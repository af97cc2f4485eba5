//! The address of one host, for every request to it.
//!
//! A good result is used until there is a better one: after its lifetime it still serves, while one lookup is
//! made in the background. Only requests before the first good result wait for it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::connect::address::Address;
use crate::connect::dns::{Discover, Dns, Found, LOOKUP, Member, Resolution, random_fraction};
use crate::error::UpstreamError;

/// Resolves a host.
#[derive(Debug)]
pub(crate) enum Resolver {
    Literal(SocketAddr),
    Named(Arc<Named>),
}

#[derive(Debug)]
pub(crate) struct Named {
    dns: Dns,
    what: Discover,
    state: Mutex<State>,
    /// Wakes at the end of a lookup.
    answered: Notify,
}

#[derive(Debug)]
struct State {
    resolution: Resolution,
    /// The member in use, while it is a member.
    current: Option<SocketAddr>,
    /// Whether a lookup is in flight.
    in_flight: bool,
}

impl Resolver {
    pub(crate) fn new(address: &Address, dns: &Dns) -> Self {
        let literal = address.pin().or_else(|| address.host().parse::<IpAddr>().ok());
        if let Some(ip) = literal {
            return Self::Literal(SocketAddr::new(ip, address.port()));
        }
        let plain = || Discover::Addresses { host: address.host().to_owned(), port: address.port() };
        Self::named(address.discover().unwrap_or_else(plain), dns)
    }

    fn named(what: Discover, dns: &Dns) -> Self {
        let state = State { resolution: Resolution::new(Instant::now()), current: None, in_flight: false };
        let answered = Notify::new();
        Self::Named(Arc::new(Named { dns: dns.clone(), what, state: Mutex::new(state), answered }))
    }

    /// The address. Waits only if there has never been one, for up to `deadline`.
    pub(crate) async fn address(&self, deadline: Duration) -> Result<SocketAddr, UpstreamError> {
        match self {
            Self::Literal(address) => Ok(*address),
            Self::Named(named) => match named.current() {
                Some(answer) => answer,
                None => timeout(deadline, named.wait()).await.unwrap_or(Err(UpstreamError::DnsTimeout)),
            },
        }
    }

    /// The other addresses of the name than `address`.
    pub(crate) fn others(&self, address: SocketAddr) -> Vec<SocketAddr> {
        let Self::Named(named) = self else { return Vec::new() };
        let state = named.state.lock();
        let members = state.resolution.members().map(|members| &**members).unwrap_or_default();
        members.iter().map(|member| member.address).filter(|other| *other != address).collect()
    }

    /// A connection to `address` was possible, and not to the one in use, or not soon: it is used from now
    /// on.
    pub(crate) fn mark_reachable(&self, address: SocketAddr) {
        let Self::Named(named) = self else { return };
        let mut state = named.state.lock();
        let members = state.resolution.members().map(|members| &**members).unwrap_or_default();
        if members.iter().any(|member| member.address == address) {
            state.current = Some(address);
        }
    }

    /// No connection to `address` was possible: if the name has other addresses, the next one is used from
    /// now on.
    pub(crate) fn mark_unreachable(&self, address: SocketAddr) {
        let Self::Named(named) = self else { return };
        let mut state = named.state.lock();
        // Of many requests that fail together, only the first switches.
        if state.current != Some(address) {
            return;
        }
        let members = state.resolution.members().map(|members| &**members).unwrap_or_default();
        let after =
            members.iter().skip_while(|member| member.address != address).nth(1).or_else(|| members.first());
        state.current = after.map(|member| member.address);
    }
}

impl Named {
    /// The current result, or `None` before the first one. Starts a lookup when one is due.
    fn current(self: &Arc<Self>) -> Option<Result<SocketAddr, UpstreamError>> {
        let mut state = self.state.lock();
        if !state.in_flight && state.resolution.due() <= Instant::now() {
            state.in_flight = true;
            self.start_lookup();
        }
        match state.current {
            Some(address) => Some(Ok(address)),
            None if state.in_flight => None,
            None => Some(Err(state.resolution.error().unwrap_or(UpstreamError::DnsError))),
        }
    }

    async fn wait(self: &Arc<Self>) -> Result<SocketAddr, UpstreamError> {
        loop {
            let answered = self.answered.notified();
            tokio::pin!(answered);
            // Listens before it looks, so that a lookup that ends in between is not missed.
            answered.as_mut().enable();
            if let Some(answer) = self.current() {
                return answer;
            }
            answered.await;
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "it ends by its own timeout within seconds, and a drain need not wait for it"
    )]
    fn start_lookup(self: &Arc<Self>) {
        let mut lookup = Lookup { named: Arc::clone(self), answer: Err(UpstreamError::DnsError) };
        tokio::spawn(async move {
            let named = Arc::clone(&lookup.named);
            lookup.set_answer(named.dns.find(&named.what, LOOKUP).await);
        });
    }
}

/// A lookup in flight. However it ends, others can follow.
struct Lookup {
    named: Arc<Named>,
    answer: Result<Found, UpstreamError>,
}

impl Lookup {
    fn set_answer(&mut self, answer: Result<Found, UpstreamError>) {
        self.answer = answer;
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        let answer = std::mem::replace(&mut self.answer, Err(UpstreamError::DnsError));
        let mut state = self.named.state.lock();
        if let Err(error) = &answer
            && state.resolution.error().is_none()
        {
            tracing::warn!(name = %self.named.what, %error, "lookup failed");
        }
        if let Some(members) = state.resolution.record(Instant::now(), answer, random_fraction()) {
            state.current = choose(&members, state.current, random_fraction());
        }
        state.in_flight = false;
        drop(state);
        self.named.answered.notify_waiters();
    }
}

/// The member in use stays, so that its connections do. Or else one of the best: by priority, then IPv4
/// before IPv6, which is more often announced than routed, then by chance, so that not all nodes choose the
/// same one.
fn choose(members: &[Member], current: Option<SocketAddr>, dice: f64) -> Option<SocketAddr> {
    if let Some(current) = current.filter(|current| members.iter().any(|member| member.address == *current)) {
        return Some(current);
    }
    let rank = |member: &Member| (member.priority, member.address.is_ipv6());
    let best = members.iter().map(rank).min()?;
    let best: Vec<_> = members.iter().filter(|member| rank(member) == best).collect();
    // A number below 1 times the length is below the length.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "small"
    )]
    let index = (dice * best.len() as f64) as usize;
    best.get(index).map(|member| member.address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::dns::script::{Script, found, member};

    const A: &str = "192.0.2.1:80";
    const B: &str = "192.0.2.2:80";
    const SIX: &str = "[2001:db8::6]:80";
    const PATIENCE: Duration = Duration::from_secs(2);

    fn resolver(script: &Script) -> Resolver {
        Resolver::named(Discover::Addresses { host: "origin.test".to_owned(), port: 80 }, &script.dns())
    }

    async fn asked(resolver: &Resolver) -> Result<SocketAddr, UpstreamError> {
        resolver.address(PATIENCE).await
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_literal_needs_no_lookup() {
        for (text, expected) in [
            ("http://192.0.2.7:8080", "192.0.2.7:8080"),
            ("http://[2001:db8::7]", "[2001:db8::7]:80"),
            ("https://origin.test:8443#192.0.2.9", "192.0.2.9:8443"),
        ] {
            let script = Script::new();
            let resolver = Resolver::new(&text.parse().unwrap(), &script.dns());
            assert_eq!((asked(&resolver).await, script.asked()), (Ok(at(expected)), 0));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_requests_before_the_first_answer_make_one_query() {
        let script = Script::new();
        script.says(Duration::from_millis(300), Ok(found(&[A], 5)));
        let resolver = Arc::new(resolver(&script));
        let mut in_flight = tokio::task::JoinSet::new();
        for _ in 0..1000 {
            let resolver = Arc::clone(&resolver);
            in_flight.spawn(async move { asked(&resolver).await });
        }
        assert!(in_flight.join_all().await.into_iter().all(|answer| answer == Ok(at(A))));
        assert_eq!(script.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_expired_name_serves_while_one_query_goes_on_beside() {
        let script = Script::new();
        script.says(Duration::ZERO, Ok(found(&[A], 5)));
        let resolver = resolver(&script);
        assert_eq!(asked(&resolver).await, Ok(at(A)));
        script.says(Duration::from_secs(3), Ok(found(&[B], 5)));

        tokio::time::advance(Duration::from_secs(6)).await;
        let before = Instant::now();
        for _ in 0..1000 {
            assert_eq!(asked(&resolver).await, Ok(at(A)));
        }
        assert_eq!(Instant::now(), before, "no request waited");
        tokio::time::sleep(Duration::from_millis(3001)).await;
        assert_eq!(asked(&resolver).await, Ok(at(B)));
        assert_eq!(script.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_resolver_that_fails_or_is_silent_leaves_the_last_good_address() {
        let script = Script::new();
        script.says(Duration::ZERO, Ok(found(&[A], 1)));
        let resolver = resolver(&script);
        assert_eq!(asked(&resolver).await, Ok(at(A)));
        script.says(Duration::from_secs(5), Err(UpstreamError::DnsTimeout));
        for _ in 0..600 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(asked(&resolver).await, Ok(at(A)));
        }
        assert!((17..=46).contains(&script.asked()), "{} queries in ten minutes", script.asked());
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_answer_that_does_not_come_is_a_timeout_and_later_requests_join_it() {
        let script = Script::new();
        script.says(Duration::from_secs(4), Ok(found(&[A], 5)));
        let resolver = resolver(&script);
        assert_eq!(asked(&resolver).await, Err(UpstreamError::DnsTimeout));
        assert_eq!(asked(&resolver).await, Err(UpstreamError::DnsTimeout));
        assert_eq!(asked(&resolver).await, Ok(at(A)));
        assert_eq!(script.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_name_fails_immediately_and_is_found_within_two_seconds_of_being_there() {
        let script = Script::new();
        script.says(Duration::ZERO, Err(UpstreamError::DnsError));
        let resolver = resolver(&script);
        for _ in 0..1000 {
            assert_eq!(asked(&resolver).await, Err(UpstreamError::DnsError));
        }
        assert_eq!(script.asked(), 1, "the failure is remembered for a moment");
        script.says(Duration::ZERO, Ok(found(&[A], 5)));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(asked(&resolver).await, Ok(at(A)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_cannot_be_reached_is_left_once_for_the_next() {
        let script = Script::new();
        script.says(Duration::ZERO, Ok(found(&[A, B, SIX], 5)));
        let resolver = resolver(&script);
        let first = asked(&resolver).await.unwrap();
        for _ in 0..100 {
            resolver.mark_unreachable(first);
        }
        let mut seen = vec![first];
        for _ in 0..2 {
            let next = asked(&resolver).await.unwrap();
            assert!(!seen.contains(&next), "{next} of {seen:?}");
            seen.push(next);
            resolver.mark_unreachable(next);
        }
        assert_eq!(asked(&resolver).await, Ok(first));
    }

    #[tokio::test(start_paused = true)]
    async fn the_address_that_a_request_could_connect_to_is_used_from_then_on() {
        let script = Script::new();
        script.says(Duration::ZERO, Ok(found(&[A, B, SIX], 5)));
        let resolver = resolver(&script);
        asked(&resolver).await.unwrap();
        assert_eq!(resolver.others(at(B)), [at(A), at(SIX)]);
        resolver.mark_reachable(at(SIX));
        assert_eq!(asked(&resolver).await, Ok(at(SIX)));
        resolver.mark_reachable(at("192.0.2.9:80"));
        assert_eq!(asked(&resolver).await, Ok(at(SIX)), "the other one is not a member");
    }

    #[test]
    fn the_member_in_use_stays_and_else_the_best_is_drawn() {
        let members: Vec<_> = [A, B, SIX].map(member).into();
        let [a, b, six] = [A, B, SIX].map(at);
        assert_eq!(choose(&members, Some(six), 0.0), Some(six));
        assert_eq!(choose(&members, None, 0.0), Some(a));
        assert_eq!(choose(&members, None, 0.999), Some(b), "IPv6 only where there is nothing else");
        assert_eq!(choose(&[member(SIX)], Some(a), 0.999), Some(six));
        assert_eq!(choose(&[], Some(a), 0.0), None);
    }
}
