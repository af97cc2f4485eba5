//! The rules between the fields of `[listen]`, and its token file, read when the configuration is checked.

use super::Listen;
use super::access::ProxyProtocol;
use super::check::Breach;
use crate::observe::operators::{self, SharedSecret};

/// Checks the listeners: which proxies are believed, and who may operate.
///
/// # Errors
/// The first rule that is broken.
pub fn check(listen: &Listen) -> Result<(), Breach> {
    let is_on = listen.proxy_protocol == ProxyProtocol::On
        || listen.tls.as_ref().is_some_and(|tls| tls.proxy_protocol == ProxyProtocol::On);
    if is_on && listen.trusted_proxies.is_empty() {
        let message = "proxy_protocol = \"on\" needs the networks of the load balancers";
        return Err(Breach::new(&["listen", "trusted_proxies"], message));
    }
    if let Some(file) = &listen.secret {
        SharedSecret::read(file).map_err(|error| Breach::new(&["listen", "secret"], error.to_string()))?;
    }
    operators::guard(listen.operators, listen.operators_token.as_deref(), listen.operators_ca())
        .map(drop)
        .map_err(|unguarded| Breach::new(&["listen", unguarded.field()], unguarded.to_string()))
}
