use super::*;

const CHANNELS: u32 = 20;

/// This many edges, each with enough viewers to watch everything on the air.
fn crowd(edges: u32) -> Scene {
    Scene::new(CHANNELS, edges, 20_000)
}

fn size(regions: u32, shields: u32) -> Size {
    Size { regions, shields }
}

#[tokio::test]
async fn with_one_edge_and_one_shield_the_origin_sees_each_object_once() {
    let scene = crowd(1);
    let round = scene.round(&Network::new(size(1, 1)).unwrap()).await.unwrap();
    assert_eq!(round.asks[0].len(), 200, "a playlist and a segment of each of 100 renditions");
    assert_eq!((round.tally.origin, round.tally.objects(), round.tally.edges), (200, 200, 200));
    assert_eq!(round.tally.received, [200]);
    assert!((round.tally.mbit[0] - 20.0 * catalogue::channel_mbit()).abs() < 1e-6);
}

#[tokio::test]
async fn edges_of_a_region_agree_on_the_owner_of_each_object() {
    let round = crowd(40).round(&Network::new(size(1, 5)).unwrap()).await.unwrap();
    assert_eq!((round.tally.origin, round.tally.edges), (200, 8000));
    assert_eq!(round.tally.received.iter().sum::<u32>(), 8000);
}

#[tokio::test]
async fn each_region_sends_its_own_requests_to_the_origin() {
    for regions in 1..=3 {
        let round = crowd(30).round(&Network::new(size(regions, 4)).unwrap()).await.unwrap();
        assert_eq!(round.tally.origin, regions * 200);
        assert!((round.tally.amplification() - f64::from(regions)).abs() < 1e-9);
    }
}

#[tokio::test]
async fn an_edge_uses_the_shields_of_its_own_region() {
    let network = Network::new(size(3, 4)).unwrap();
    let round = crowd(3).round(&network).await.unwrap();
    for (edge, asks) in round.asks.iter().enumerate() {
        assert!(
            asks.iter().all(|ask| ask.shield.map(|shield| network.size().region_of(shield)) == Some(edge))
        );
    }
}

#[tokio::test]
async fn losing_a_shield_of_four_moves_its_keys_and_no_others() {
    let (scene, size) = (crowd(8), size(2, 4));
    let before = scene.owners(&Network::new(size).unwrap()).await.unwrap();
    let after = scene.owners(&Network::without(size, &[1]).unwrap()).await.unwrap();
    let moved: Vec<_> = before.iter().filter(|(key, shield)| after[key] != **shield).collect();
    assert!(moved.len() > 10, "{}", moved.len());
    assert!(moved.iter().all(|(_, shield)| **shield == 1));
    assert!(after.values().all(|shield| *shield != 1));
    assert_eq!(before.values().filter(|shield| **shield == 1).count(), moved.len());
}

#[tokio::test]
async fn losing_a_shield_of_two_spills_a_part_of_its_neighbours_keys_too() {
    let (scene, size) = (crowd(8), size(2, 2));
    let before = scene.owners(&Network::new(size).unwrap()).await.unwrap();
    let after = scene.owners(&Network::without(size, &[0]).unwrap()).await.unwrap();
    let abroad = after.iter().filter(|((region, _), shield)| size.region_of(**shield) != *region).count();
    assert_eq!(before.iter().filter(|((region, _), shield)| size.region_of(**shield) != *region).count(), 0);
    assert!((20..=40).contains(&abroad), "half of a region takes 70 % of its 100 keys: {abroad} went abroad");
}

#[tokio::test]
async fn requests_under_way_at_a_lost_shield_are_sent_once_more() {
    let (scene, size) = (crowd(8), size(2, 4));
    let round = scene.round(&Network::new(size).unwrap()).await.unwrap();
    let after = Network::without(size, &[1]).unwrap();
    let tally = scene.loss(&round, &after, &[1]).await.unwrap();
    // Of the eight edges four are in its region, and each has requested each of its objects from it.
    assert_eq!(tally.origin - round.tally.origin, round.tally.received[1] / 4);
    assert_eq!(tally.edges - round.tally.edges, round.tally.received[1]);
    assert_eq!(tally.received[1], round.tally.received[1], "it receives no further request");
}

#[tokio::test]
async fn a_lost_region_is_served_by_the_next_one() {
    let (scene, size) = (crowd(12), size(3, 4));
    let lost = [0, 1, 2, 3];
    let round = scene.round(&Network::new(size).unwrap()).await.unwrap();
    let network = Network::without(size, &lost).unwrap();
    let after = scene.round(&network).await.unwrap();
    assert_eq!(
        (after.tally.origin, after.tally.unanswered),
        (400, 0),
        "two regions send requests to the origin"
    );
    assert_eq!(after.tally.edges, round.tally.edges, "as many requests are sent");
    assert!(lost.iter().all(|shield| after.tally.received[*shield] == 0));
    let at_that_moment = scene.loss(&round, &network, &lost).await.unwrap();
    assert_eq!(at_that_moment.origin, round.tally.origin, "the next region had requested everything already");
}

#[tokio::test]
async fn with_all_shields_lost_no_request_is_sent() {
    let size = size(1, 2);
    let round = crowd(1).round(&Network::without(size, &[0, 1]).unwrap()).await.unwrap();
    assert_eq!((round.tally.unanswered, round.tally.edges, round.tally.origin), (200, 200, 0));
}

#[tokio::test]
async fn a_stream_above_its_share_of_requests_is_shared_by_shields() {
    // 400 requests in flight are more than the default allows two shields without comparing their loads.
    let scene = Scene::new(80, 4, 20_000);
    let round = scene.round(&Network::new(size(1, 2)).unwrap()).await.unwrap();
    let segments = |shield: usize| {
        let asks = round.asks[0].iter().filter(|ask| ask.object == Object::Segment);
        asks.filter(|ask| ask.shield == Some(shield)).count()
    };
    let most = segments(0).max(segments(1));
    let all = segments(0) + segments(1);
    assert!(most * 8 <= all * 5 + 8, "{most} of {all}: at most 1.25 times the half");
}

#[tokio::test]
async fn every_run_has_the_same_result() {
    let (scene, size) = (crowd(6), size(3, 3));
    let one = scene.round(&Network::new(size).unwrap()).await.unwrap();
    let other = crowd(6).round(&Network::new(size).unwrap()).await.unwrap();
    assert_eq!((one.tally, one.asks), (other.tally, other.asks));
}
