//! Counts the viewer of a request that was answered with a playlist or a segment.

use http::{HeaderMap, Method};
use tidegate_access::ClientAddress;
use tidegate_cache::{Key, Object};
use tidegate_headers::cmcd::{self, Cmcd};
use tidegate_hls::Kind;
use tidegate_upstream::folder_of;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::recent::Recent;
use super::registry::{Viewer, common_folder};
use super::webhook::Notifier;
use crate::clock;
use crate::request::parsed::Request;
use crate::request::try_hit::Hit;
use crate::tier::{Shared, Tier};
use crate::viewer::client::Client;
use crate::viewer::fast_path::simple_head::SimpleHead;
use crate::viewer::peer::Peer;

/// Ends the steps of the window, until the node drains.
pub(crate) async fn end_steps(tier: Shared) {
    let draining = tier.draining().token().clone();
    let mut steps = interval(tier.audience().step_len);
    steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    steps.tick().await;
    let mut notifier = Notifier::start(&tier);
    while draining.run_until_cancelled(steps.tick()).await.is_some() {
        tier.audience().end_step(clock::now());
        if let Some(notifier) = &mut notifier {
            notifier.end_step(&tier);
        }
    }
}

/// Counts the viewer of a hit on the fast path. Most hits end at the comparison with what their connection
/// was counted for.
pub(crate) fn hit(tier: &Tier, peer: &Peer, simple_head: &SimpleHead<'_>, hit: &Hit<'_>) {
    let Some(recent) = peer.recent() else { return };
    if !is_watched(hit.target.kind, hit.stream.is_some()) {
        return;
    }
    let has_cmcd = simple_head.has_cmcd || hit.cmcd.is_some();
    if !has_cmcd && !peer.is_proxy() && recent.is_counted(hit.target.place, tier.audience().step()) {
        return;
    }
    if simple_head.method == Method::GET {
        first_of_step(tier, peer, recent, simple_head, hit);
    }
}

#[cold]
fn first_of_step(tier: &Tier, peer: &Peer, recent: &Recent, simple_head: &SimpleHead<'_>, hit: &Hit<'_>) {
    let needs_headers = simple_head.has_cmcd || peer.is_proxy();
    let headers = if needs_headers { simple_head.headers() } else { HeaderMap::new() };
    let seen = Seen {
        key: &hit.target.key,
        kind: hit.target.kind,
        place: hit.target.place,
        is_media: hit.stream.is_some() || !is_multivariant(&hit.object),
        is_proxied: peer.is_proxy(),
        address: peer.client(tier, &headers),
        user_agent: simple_head.field("user-agent").unwrap_or_default(),
        cmcd: read(tier, hit.cmcd.as_deref(), &headers),
    };
    seen.count(tier, recent);
}

/// Counts the viewer of a request on the slow path, once it is answered.
pub(crate) fn answered(tier: &Tier, client: &Client, request: &Request) {
    let Some(recent) = client.peer().recent() else { return };
    let is_answered = client.status().is_some_and(|status| status.is_success() || status == 304);
    if *client.method() != Method::GET || !is_answered {
        return;
    }
    let has_stream = tier.streams().of_request(request).is_some();
    let kind = request.resource.kind;
    if !is_watched(kind, has_stream) {
        return;
    }
    let has_fields = cmcd::FIELDS.iter().any(|name| client.headers().contains_key(*name));
    let place = tier.audience().place(&request.key, kind == Kind::Segment);
    let may_repeat = !has_fields && request.resource.cmcd.is_none() && !client.peer().is_proxy();
    if may_repeat && recent.is_counted(place, tier.audience().step()) {
        return;
    }
    let object = || tier.cache().fresh(&request.key, Instant::now());
    let seen = Seen {
        key: &request.key,
        kind,
        place,
        is_media: has_stream
            || kind != Kind::Playlist
            || object().is_none_or(|object| !is_multivariant(&object)),
        is_proxied: client.peer().is_proxy(),
        address: client.address(),
        user_agent: client.headers().get("user-agent").map(http::HeaderValue::as_bytes).unwrap_or_default(),
        cmcd: read(tier, request.resource.cmcd.as_deref(), client.headers()),
    };
    seen.count(tier, recent);
}

/// A request by which a viewer is seen.
struct Seen<'a> {
    key: &'a Key,
    kind: Kind,
    place: u64,
    /// Whether it is a segment or a media playlist.
    is_media: bool,
    /// Whether the connection is a proxy's, which has many viewers.
    is_proxied: bool,
    address: ClientAddress,
    user_agent: &'a [u8],
    cmcd: Option<Cmcd>,
}

impl Seen<'_> {
    fn count(&self, tier: &Tier, recent: &Recent) {
        let audience = tier.audience();
        let step = audience.step();
        let session = self.cmcd.as_ref().and_then(|cmcd| cmcd.sid.as_deref()).filter(|sid| !sid.is_empty());
        let viewer = Viewer { session, address: self.address, user_agent: self.user_agent };
        let fingerprint = audience.fingerprint(viewer);
        let is_alone = session.is_none() && !self.is_proxied;
        let spot = if is_alone { self.place } else { self.place ^ fingerprint };
        let is_repeated = !is_alone && recent.is_counted(spot, step);
        if is_repeated && self.cmcd.is_none() {
            return;
        }
        let stream = if !self.is_media {
            None
        } else if self.kind == Kind::Segment {
            audience.stream_above(folder_of(self.key.as_str()))
        } else {
            let group = tier.streams().renditions_of(self.key);
            let folder = group.as_deref().and_then(common_folder);
            audience.stream(folder.unwrap_or_else(|| folder_of(self.key.as_str())))
        };
        if let Some(stream) = &stream {
            if let Some(cmcd) = &self.cmcd {
                stream.report(cmcd);
            }
            if !is_repeated && let Some(number) = audience.number(recent, fingerprint, viewer) {
                let path = self.key.path_and_query().split('?').next();
                audience.see(stream, path.filter(|_| self.kind != Kind::Segment), number);
                if session.is_some() {
                    audience.note_session(number, stream);
                }
            }
        }
        recent.note(spot, step);
    }
}

/// Whether requests of this kind show that their viewer watches.
fn is_watched(kind: Kind, has_stream: bool) -> bool {
    match kind {
        Kind::Playlist | Kind::Segment => true,
        Kind::Other => has_stream,
        Kind::Init => false,
    }
}

/// Reads and records what the player reports.
fn read(tier: &Tier, query: Option<&str>, headers: &HeaderMap) -> Option<Cmcd> {
    let reading = cmcd::read(query, headers)?;
    tier.metrics().audience.report(&reading);
    reading.cmcd
}

/// Whether a playlist that is no stream lists renditions instead of segments.
fn is_multivariant(object: &Object) -> bool {
    let chunks = object.body.whole();
    let first = chunks.and_then(|chunks| chunks.first());
    let start = first.map(|chunk| chunk.get(..START_LEN).unwrap_or(chunk)).unwrap_or_default();
    start.windows(RENDITION_TAG.len()).any(|text| text == RENDITION_TAG)
}

const RENDITION_TAG: &[u8] = b"#EXT-X-STREAM-INF";
/// Bytes within which a multivariant playlist lists its first rendition.
const START_LEN: usize = 4096;
