//! The certificate of an origin has expired: the origin is refused, and no viewer notices.

use tidegate_tests::tls::Terminator;
use tidegate_tests::{OriginProcess, SEPARATE_LOOPBACK, authority};

use crate::ONE_AT_A_TIME;
use crate::audience::Audience;
use crate::cluster::{Cluster, edges, shield_before};

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_with_an_expired_certificate_is_refused_and_the_next_one_used() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let (primary, backup) = (OriginProcess::start().await, OriginProcess::start().await);
    let ours = authority();
    let expired = Terminator::run(primary.addr(), &ours.issue_expired(&["127.0.0.1"])).await;
    let valid = Terminator::run(backup.addr(), &ours.issue(&["127.0.0.1"])).await;
    let site = format!(
        "[upstream.tls]\nca = \"{}\"\n[[site]]\norigins = [\"{}\", \"{}\"]\n",
        ours.file(),
        expired.url(),
        valid.url()
    );
    let shield = async |number| shield_before(SEPARATE_LOOPBACK, &[], number, &site).await;
    let shields = [shield(0).await, shield(1).await, shield(2).await];
    let edges = edges(&shields.each_ref().map(|shield| shield.addr())).await;
    let cluster = Cluster { primary, backup, shields, edges };

    Audience::of(&cluster).await.finish_smoothly().await;

    let (full, resumed, failed) = expired.handshakes();
    assert!(failed > 0, "no connection was tried: {full} full, {resumed} resumed handshakes");
    assert_eq!(cluster.primary.total().await, 0, "an untrusted origin receives no request");
}
