//! Files that are read again while the node runs: certificates, keys and authorities of its TLS listener.

use std::sync::Arc;
use std::time::Duration;

use crate::observe::metrics::Reload;
use crate::tier::Tier;
use crate::viewer::tls::{Files, Reloaded};

/// The interval at which the contents of the files are compared.
const INTERVAL: Duration = Duration::from_secs(2);

/// Reads the files again when they change and when a reload is requested, until the node drains.
pub(crate) async fn keep_current(tier: Arc<Tier>, mut files: Files) {
    let mut requested = tier.reread_requests();
    loop {
        for (certificate, at) in files.expiries() {
            tier.metrics().tls.expires(certificate, at);
        }
        let is_forced = tokio::select! {
            biased;
            () = tier.draining().wait() => return,
            changed = requested.changed() => changed.is_ok(),
            () = tokio::time::sleep(INTERVAL) => false,
        };
        let reloading = tokio::task::spawn_blocking(move || {
            let reloaded = files.reload(is_forced);
            (files, reloaded)
        });
        let Ok((same_files, reloaded)) = reloading.await else { return };
        files = same_files;
        for reloaded in &reloaded {
            report(&tier, reloaded);
        }
    }
}

fn report(tier: &Tier, Reloaded { file, error }: &Reloaded) {
    match error {
        None => {
            tier.metrics().tls.reloaded(Reload::Success);
            tracing::info!(node = tier.node(), %file, "TLS file reloaded");
        }
        Some(error) => {
            tier.metrics().tls.reloaded(Reload::Failure);
            tracing::warn!(node = tier.node(), %file, %error, "TLS file cannot be used, the previous one stays in use");
        }
    }
}
