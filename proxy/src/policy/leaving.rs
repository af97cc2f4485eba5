//! Reports players that leave this node: what they fetch elsewhere, no tier caches.

use http::header;
use tidegate_cache::Head;
use tidegate_hls::{Kind, Location, replace_uris};

use super::SitePolicy;
use super::redirect::is_redirect;
use crate::live::leaving::Departure;
use crate::request::parsed::Request;
use crate::tier::Tier;

impl SitePolicy<'_> {
    /// Looks for a URI in a playlist that leads to another host. A shield reports it for the edges, too.
    pub(super) fn report_leaving(&self, playlist: &[u8]) {
        let playlist = newest_lines(playlist);
        let has_absolute = playlist.windows(2).any(|pair| pair == b"//");
        if self.request.site.has_shields || !has_absolute {
            return;
        }
        let own = self.request.resource.path_and_query();
        let mut place = None;
        // Nothing is replaced.
        let _unchanged = replace_uris(playlist, |uri| {
            if place.is_none() && leaves(self.request, Location::resolve(uri, &own)?.authority?) {
                place = Some(uri.to_owned());
            }
            None
        });
        if let Some(place) = place {
            report(self.tier, self.request, Way::Uri, &place);
        }
    }

    /// Reports a redirect that is stored: each viewer receives it without another request to the origin.
    pub(super) fn report_stored_redirect(&self, head: &Head) {
        report_redirect(self.tier, self.request, head);
    }
}

/// The last lines of a long playlist: its older segments were looked at when they were new.
fn newest_lines(playlist: &[u8]) -> &[u8] {
    let newest = playlist.len().checked_sub(NEWEST_BYTES).and_then(|start| playlist.get(start..));
    let newest = newest.and_then(|newest| newest.get(newest.iter().position(|byte| *byte == b'\n')? + 1..));
    newest.unwrap_or(playlist)
}

/// As many bytes as the multivariant playlist of a large channel has.
const NEWEST_BYTES: usize = 64 << 10;

/// Reports the redirect of a playlist that viewers receive, passed on or stored, if it leads to another host.
pub(crate) fn report_redirect(tier: &Tier, request: &Request, head: &Head) {
    if !is_redirect(head.status) || request.resource.kind != Kind::Playlist || request.site.has_shields {
        return;
    }
    let Some(location) = head.headers.get(header::LOCATION).and_then(|value| value.to_str().ok()) else {
        return;
    };
    let own = request.resource.path_and_query();
    let authority = Location::resolve(location, &own).and_then(|location| location.authority);
    if authority.is_some_and(|authority| leaves(request, authority)) {
        report(tier, request, Way::Redirect, location);
    }
}

/// How players leave.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// A redirect that is passed on.
    Redirect,
    /// A URI in a playlist.
    Uri,
}

fn leaves(request: &Request, authority: &str) -> bool {
    !authority.eq_ignore_ascii_case(&request.authority)
}

fn report(tier: &Tier, request: &Request, way: Way, place: &str) {
    tier.metrics().live.leaving.inc();
    // Without queries, which may contain tokens.
    let path = |text: &str| text.split('?').next().unwrap_or_default().to_owned();
    let (playlist, to) = (path(request.key.path_and_query()), path(place));
    let by = match way {
        Way::Redirect => "redirect",
        Way::Uri => "uri",
    };
    if tier.streams().leaving.mention(&request.key, Departure { by, to: to.clone() }) {
        tracing::warn!(
            %playlist,
            by,
            %to,
            "players leave this node: see redirect_hosts and rewrite_uris of the site"
        );
    }
}
