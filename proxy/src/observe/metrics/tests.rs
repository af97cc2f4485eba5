use super::*;

fn metrics() -> Metrics {
    Metrics::new("edge", "edge-1", "abc123").unwrap()
}

/// Checks the only sample with this name and these labels, in any order.
#[track_caller]
fn check(text: &str, name: &str, labels: &[(&str, &str)], value: u64) {
    let matches = |line: &&str| {
        let has = |(label, value): &(&str, &str)| line.contains(&format!("{label}=\"{value}\""));
        line.starts_with(&format!("{name}{{")) && labels.iter().all(has)
    };
    let samples: Vec<_> = text.lines().filter(matches).collect();
    let [sample] = samples.as_slice() else { panic!("{name} {labels:?}: {samples:#?}") };
    assert_eq!(sample.rsplit_once(' ').unwrap().1, value.to_string(), "{sample}");
}

#[test]
fn requests_are_counted_by_fate_class_and_kind() {
    let metrics = metrics();
    metrics.request(Fate::Hit, Some(StatusCode::PARTIAL_CONTENT), Kind::Segment);
    metrics.request(Fate::Hit, Some(StatusCode::OK), Kind::Segment);
    metrics.request(Fate::ClientClosed, None, Kind::Other);
    let text = metrics.render();
    let hits =
        [("fate", "hit"), ("kind", "segment"), ("status_class", "2xx"), ("tier", "edge"), ("node", "edge-1")];
    check(&text, "tidegate_requests_total", &hits, 2);
    check(
        &text,
        "tidegate_requests_total",
        &[("fate", "client-closed"), ("status_class", "none"), ("kind", "other")],
        1,
    );
}

#[test]
fn hits_of_all_threads_are_added_up_for_a_scrape() {
    let metrics = metrics();
    assert!(!metrics.render().contains("fate=\"hit\""), "a series appears with its first use");
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let metrics = &metrics;
            scope.spawn(move || {
                for _ in 0..100 {
                    metrics.hit(Kind::Segment, 1000, Some(Duration::from_micros(50)));
                    metrics.fast_path_hit(thread == 0);
                }
            });
        }
    });
    metrics.hit(Kind::Playlist, 0, None);
    metrics.request(Fate::Hit, Some(StatusCode::OK), Kind::Segment);
    for _ in 0..2 {
        let text = metrics.render();
        let segments = [("fate", "hit"), ("kind", "segment"), ("status_class", "2xx")];
        check(&text, "tidegate_requests_total", &segments, 801);
        check(&text, "tidegate_requests_total", &[("fate", "hit"), ("kind", "playlist")], 1);
        check(&text, "tidegate_response_body_bytes_total", &[("fate", "hit")], 800_000);
        check(&text, "tidegate_time_to_first_byte_seconds_count", &[("fate", "hit")], 800);
        check(&text, "tidegate_fast_path_hits_total", &[], 800);
        check(&text, "tidegate_sendfile_responses_total", &[], 100);
    }
}

#[test]
fn every_combination_of_labels_has_its_own_series() {
    let metrics = metrics();
    let statuses = [None, Some(100), Some(200), Some(300), Some(400), Some(500)];
    for &fate in Fate::ALL {
        for status in statuses {
            for &kind in Kind::ALL {
                metrics.request(fate, status.map(|code| StatusCode::from_u16(code).unwrap()), kind);
            }
        }
        metrics.body_bytes(fate, 7);
        metrics.first_byte(fate, Duration::from_millis(3));
    }
    let text = metrics.render();
    let series = |name: &str, value: &str| {
        text.lines().filter(|line| line.starts_with(&format!("{name}{{")) && line.ends_with(value)).count()
    };
    assert_eq!(series("tidegate_requests_total", " 1"), Fate::ALL.len() * statuses.len() * Kind::ALL.len());
    assert_eq!(series("tidegate_response_body_bytes_total", " 7"), Fate::ALL.len());
    assert_eq!(series("tidegate_time_to_first_byte_seconds_count", " 1"), Fate::ALL.len());
}

#[test]
fn fills_and_failovers_are_counted_by_their_labels() {
    let metrics = metrics();
    for &end in FillEnd::ALL {
        metrics.fill_ended(end, 3);
    }
    for &end in UpstreamEnd::ALL {
        metrics.upstream_request(end);
    }
    for &reason in Failover::ALL {
        metrics.failover(reason);
    }
    metrics.playlist_served(Duration::from_secs(1));
    let text = metrics.render();
    check(&text, "tidegate_fills_total", &[("outcome", "revalidated")], 1);
    check(&text, "tidegate_upstream_requests_total", &[("outcome", "not_modified")], 1);
    check(&text, "tidegate_failovers_total", &[("reason", "timeout")], 1);
    check(&text, "tidegate_requests_per_fill_sum", &[], 18);
    check(&text, "tidegate_playlist_age_at_serve_seconds_bucket", &[("le", "0.5")], 0);
    check(&text, "tidegate_playlist_age_at_serve_seconds_bucket", &[("le", "1")], 1);
}

#[test]
fn cache_totals_are_copied_and_evictions_only_grow() {
    let metrics = metrics();
    let mut totals = Totals { charged_bytes: 500, evictions: 4, waiting: 2, ..Totals::default() };
    metrics.cache(&totals, 0);
    totals.evictions = 6;
    metrics.cache(&totals, 70);
    let text = metrics.render();
    check(&text, "tidegate_cache_bytes", &[], 500);
    check(&text, "tidegate_waiters", &[], 2);
    check(&text, "tidegate_sendfile_bytes", &[], 70);
    check(&text, "tidegate_cache_evictions_total", &[], 6);
}

#[test]
fn two_tiers_live_in_one_process() {
    let (edge, shield) = (metrics(), Metrics::new("shield", "shield-1", "abc123").unwrap());
    edge.upstreams.rescued_bodies.inc();
    let guard = GaugeGuard::new(&edge.connections.open);
    check(&edge.render(), "tidegate_connections", &[("node", "edge-1")], 1);
    drop(guard);
    check(&edge.render(), "tidegate_connections", &[("node", "edge-1")], 0);
    check(&edge.render(), "tidegate_rescued_bodies_total", &[("tier", "edge")], 1);
    check(&shield.render(), "tidegate_rescued_bodies_total", &[("tier", "shield")], 0);
}

#[test]
fn the_build_and_the_process_are_reported() {
    let text = metrics().render();
    check(&text, "tidegate_build_info", &[("commit", "abc123"), ("version", env!("CARGO_PKG_VERSION"))], 1);
    assert!(text.contains("process_resident_memory_bytes"), "{text}");
}
