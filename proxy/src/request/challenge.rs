//! HTTP-01 challenges of an ACME authority (RFC 8555 section 8.3), for every host and without a site's rules:
//! the authority has no token, and does not follow a redirect to a certificate that does not exist yet.

use http::Method;
use tokio::task::spawn_blocking;

use crate::tier::Tier;
use crate::viewer::client::Client;

const PREFIX: &str = "/.well-known/acme-challenge/";

/// The response to a request for a challenge that a node has published. Any other request for such a path is
/// for the origin, which may use ACME, too.
pub(super) async fn response(tier: &Tier, client: &Client) -> Option<String> {
    let storage = tier.acme().filter(|_| *client.method() == Method::GET)?;
    let target = std::str::from_utf8(client.target()).ok()?;
    let (storage, token) = (storage.clone(), target.strip_prefix(PREFIX)?.to_owned());
    spawn_blocking(move || storage.http_response(&token)).await.ok().flatten()
}
