//! A response that is ready to send: its rendered head, and its body in memory or in a file.

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};
use tidegate_access::ClientAddress;
use tidegate_headers::conditional::{Outcome, Validators};
use tokio::time::Instant;

use super::head::{self, Own};
use super::outgoing::Outgoing;
use super::representation::{Form, Representation};
use super::simple_head::SimpleHead;
use crate::answer::{content, select};
use crate::live::stream::OpenRequest;
use crate::observe::account::Account;
use crate::observe::facts::{LoggedRequest, ResponseFacts};
use crate::request::try_hit::Hit;
use crate::tier::Tier;
use crate::viewer::peer::Peer;
use crate::viewer::unsent::Unsent;

/// A response to a hit, and the facts for its account.
#[derive(Debug)]
pub(super) struct HitResponse {
    pub(super) outgoing: Outgoing,
    account: Account,
    status: StatusCode,
    received: Instant,
    logged: Option<Box<Logged>>,
    _open_request: Option<OpenRequest>,
}

/// The request, for the access log.
#[derive(Debug)]
struct Logged {
    method: Method,
    target: String,
    headers: HeaderMap,
    client: ClientAddress,
}

/// The viewer's end of the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Viewer<'a> {
    pub(super) peer: &'a Peer,
    /// Whether sendfile works on the connection, which it does not under TLS.
    pub(super) can_send_files: bool,
    pub(super) is_tls: bool,
    /// Whether the slow path redirects its requests to HTTPS.
    pub(super) is_redirected: bool,
}

impl HitResponse {
    /// Makes the response to a hit; `None` if the request takes the slow path. Boxed, because it is moved
    /// several times.
    pub(super) fn make(
        tier: &Tier,
        viewer: Viewer<'_>,
        simple_head: &SimpleHead<'_>,
        hit: &Hit<'_>,
        received: Instant,
    ) -> Option<Box<Self>> {
        // `If-None-Match` and `If-Modified-Since` have the same outcome for a body and for its gzip: tags are
        // compared weakly, and both have one modification date.
        let (request, head) = (&simple_head.deciding, &hit.object.head);
        let validators = Validators::of(&head.headers);
        if select::precondition(&simple_head.method, request, head.status, &validators) != Outcome::Proceed {
            return None;
        }
        let representation = Representation::of(tier, simple_head, hit)?;
        hit.object.mark_requested();
        let mut account = Account::hit(hit.target.kind, hit.object.age(received));
        let mut error = None;
        if let Some(stream) = hit.stream.as_ref().filter(|stream| stream.is_live()) {
            content::record_lag(tier, stream);
            error = stream.error();
            account = account.live();
        }
        let logged = tier.log().is_on().then(|| Box::new(Logged::of(tier, simple_head, viewer.peer)));
        if logged.is_some() {
            account = account.with_log_fields(&hit.target.site, hit.cmcd.clone(), &hit.object);
        }
        let status = representation.status();
        let hsts = if viewer.is_tls { tier.hsts() } else { None };
        let estimates = viewer.peer.estimates();
        let cmsd = estimates.and_then(|estimates| estimates.member(tier.node(), received));
        let own = Own { simple_head, hsts, cmsd: cmsd.as_ref() };
        let head = head::render(tier, &own, hit, &representation, error, received);
        let (start, len) =
            representation.span.map_or((0, representation.full_len), |span| (span.start, span.len()));
        let len = if simple_head.method == Method::HEAD { 0 } else { len };
        let is_stored = matches!(representation.form, Form::Stored);
        let body = is_stored.then_some(&hit.object.body);
        let sendable = body.filter(|_| viewer.can_send_files);
        let copy = sendable.and_then(|body| tier.copies().of(tier.tasks(), body, len));
        tier.metrics().fast_path_hit(copy.is_some());
        let outgoing = match copy {
            Some(copy) => Outgoing::from_file(head, copy, start, len),
            None => Outgoing::new(head, representation.chunks, body.map(Arc::clone), start, len),
        };
        let open_request = hit.stream.as_ref().map(|stream| stream.open_request(false));
        Some(Box::new(Self { outgoing, account, status, received, logged, _open_request: open_request }))
    }

    /// The time when the request was read.
    pub(super) fn received(&self) -> Instant {
        self.received
    }

    /// Closes the account of the request: counters and access log.
    pub(super) fn close(self: Box<Self>, tier: &Tier, written: Result<(), Unsent>) {
        let logged = self.logged.as_deref();
        let response = ResponseFacts {
            received: self.received,
            first_byte: self.outgoing.first_sent(),
            status: Some(self.status),
            body_bytes: self.outgoing.body_sent(),
            request: logged.map(Logged::request),
        };
        self.account.with_result(written).close(tier, &response);
    }
}

impl Logged {
    fn of(tier: &Tier, simple_head: &SimpleHead<'_>, peer: &Peer) -> Self {
        let headers = simple_head.headers();
        Self {
            method: simple_head.method.clone(),
            target: simple_head.target.to_owned(),
            client: peer.client(tier, &headers),
            headers,
        }
    }

    fn request(&self) -> LoggedRequest<'_> {
        LoggedRequest::http1(&self.method, &self.target, self.client, &self.headers)
    }
}
