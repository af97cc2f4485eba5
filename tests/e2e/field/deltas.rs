//! Delta updates where the origin offers to leave out date ranges as well: players then request `v2`.

use tidegate_tests::until;

use crate::cluster::{Cluster, PUSHED, push, sequence};

fn version(first: u64, dateranges: &str) -> String {
    let head = format!(
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:1\n\
         #EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=6,CAN-SKIP-DATERANGES=YES\n\
         #EXT-X-MEDIA-SEQUENCE:{first}\n{dateranges}"
    );
    (first..first + 12).fold(head, |list, number| list + &format!("#EXTINF:1.0,\n{number}.ts\n"))
}

/// HLS sections 4.4.5.2 and 6.2.5.1.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_without_older_date_ranges_names_the_removed_ones() {
    let cluster = Cluster::standing_still().await;
    let ad = "#EXT-X-DATERANGE:ID=\"ad\",START-DATE=\"2026-01-01T00:00:00Z\"\n";
    push(&cluster.origin, &version(7, ad)).await;
    let delta = cluster.get(&format!("{PUSHED}?_HLS_skip=v2")).await.text();
    let skip = "#EXT-X-SKIP:SKIPPED-SEGMENTS=6,RECENTLY-REMOVED-DATERANGES=\"\"\n";
    assert!(delta.contains(skip) && delta.contains(ad) && !delta.contains("\n12.ts"), "{delta}");
    push(&cluster.origin, &version(8, "")).await;
    until("the next version is there", async || sequence(&cluster.get(PUSHED).await) == 8).await;
    let delta = cluster.get(&format!("{PUSHED}?_HLS_skip=v2")).await.text();
    assert!(delta.contains("SKIPPED-SEGMENTS=6,RECENTLY-REMOVED-DATERANGES=\"ad\"\n"), "{delta}");
}
