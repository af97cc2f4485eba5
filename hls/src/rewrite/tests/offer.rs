//! Features that are offered in the origin's place.

use proptest::prelude::*;

use super::*;
use crate::{Offer, offer};

fn offered(playlist: &str, what: Offer) -> String {
    text(offer(playlist.as_bytes(), &parse(playlist.as_bytes()), what))
}

const HEAD: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n";
const LIST: &str = "#EXTINF:4,\na\n# a comment\n";

/// Section 4.4.3.8.
#[test]
fn blocking_reload_is_offered_in_the_origins_place() {
    let added = format!("{HEAD}#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES\n{LIST}");
    assert_eq!(offered(&format!("{HEAD}{LIST}"), Offer::BlockingReload), added);
    assert_eq!(offered(&added, Offer::BlockingReload), added);
    for (control, expected) in [
        ("HOLD-BACK=12", "HOLD-BACK=12,CAN-BLOCK-RELOAD=YES"),
        ("CAN-BLOCK-RELOAD=NO,HOLD-BACK=12.5", "CAN-BLOCK-RELOAD=YES,HOLD-BACK=12.5"),
        ("CAN-SKIP-UNTIL=24", "CAN-SKIP-UNTIL=24,CAN-BLOCK-RELOAD=YES"),
        // At least three target durations; the origin's value was invalid.
        ("HOLD-BACK=6", "HOLD-BACK=12.0,CAN-BLOCK-RELOAD=YES"),
        ("X-ODD=\"open", "X-ODD=\"open\",CAN-BLOCK-RELOAD=YES"),
        // Players disagree whether that is the attribute.
        ("CAN-BLOCK-RELOAD\t=NO", "CAN-BLOCK-RELOAD\t=NO,CAN-BLOCK-RELOAD=YES"),
        ("HOLD-BACK=12, CAN-BLOCK-RELOAD=NO", "HOLD-BACK=12, CAN-BLOCK-RELOAD=NO,CAN-BLOCK-RELOAD=YES"),
        ("X-ODD=\"CAN-BLOCK-RELOAD=NO\"", "X-ODD=\"CAN-BLOCK-RELOAD=NO\",CAN-BLOCK-RELOAD=YES"),
    ] {
        let playlist = format!("{HEAD}#EXT-X-SERVER-CONTROL:{control}\r\n{LIST}");
        let expected = format!("{HEAD}#EXT-X-SERVER-CONTROL:{expected}\r\n{LIST}");
        assert_eq!(offered(&playlist, Offer::BlockingReload), expected, "{control}");
    }
}

/// Section 4.4.3.8: PART-HOLD-BACK is required where there are parts.
#[test]
fn a_playlist_without_a_target_duration_gets_the_offer_after_its_first_line() {
    let list = format!("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:1\n{LIST}");
    let control = "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES";
    let expected = format!("#EXTM3U\n{control}\n#EXT-X-MEDIA-SEQUENCE:1\n{LIST}");
    assert_eq!(offered(&list, Offer::BlockingReload), expected);
}

#[test]
fn playlists_with_parts_get_a_part_hold_back() {
    let playlist = format!("{HEAD}#EXT-X-PART-INF:PART-TARGET=0.33334\n{LIST}");
    let expected = format!(
        "{HEAD}#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.00002\n\
         #EXT-X-PART-INF:PART-TARGET=0.33334\n{LIST}"
    );
    assert_eq!(offered(&playlist, Offer::BlockingReload), expected);
}

/// Section 4.4.3.8: the skip boundary is at least six target durations.
#[test]
fn delta_updates_are_offered_in_the_origins_place() {
    let playlist = format!("{HEAD}{LIST}");
    let with = |list: &str| format!("{HEAD}#EXT-X-SERVER-CONTROL:{list}\n{LIST}");
    assert_eq!(offered(&playlist, Offer::DeltaUpdates), with("CAN-SKIP-UNTIL=24.0"));
    assert_eq!(offered(&playlist, Offer::Both), with("CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24.0"));
    let offered_already = with("CAN-SKIP-UNTIL=36");
    assert_eq!(offered(&offered_already, Offer::DeltaUpdates), offered_already);
}

#[test]
fn an_ended_or_unnumbered_playlist_gets_no_offer_and_line_breaks_stay() {
    let ended = format!("{HEAD}{LIST}#EXT-X-ENDLIST\n");
    assert_eq!(offered(&ended, Offer::Both), ended);
    let unnumbered = format!("{HEAD}#EXT-X-MEDIA-SEQUENCE:-1\n{LIST}");
    assert_eq!(offered(&unnumbered, Offer::Both), unnumbered);
    assert_eq!(
        offered("#EXTM3U\r\n#EXT-X-TARGETDURATION:4\r\n\r\n#EXTINF:4,\r\na", Offer::BlockingReload),
        "#EXTM3U\r\n#EXT-X-TARGETDURATION:4\r\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES\r\n\r\n#EXTINF:4,\r\na"
    );
    assert_eq!(
        offered("#EXTM3U\n#EXT-X-TARGETDURATION:4", Offer::BlockingReload),
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES"
    );
    let short = "#EXTM3U\n#EXT-X-TARGETDURATION:0\n#EXTINF:0.4,\na\n";
    assert!(offered(short, Offer::DeltaUpdates).contains("CAN-SKIP-UNTIL=3.0\n"));
}

proptest! {
    /// For any content of the tag, the offer is understood and all other lines stay.
    #[test]
    fn an_offer_is_understood_and_changes_nothing_else(
        control in proptest::option::of(
r#"(X-B=1(,HOLD-BACK=(3|12|99)(\.5)?|,CAN-BLOCK-RELOAD=(YES|NO)|,X-A="[a-z,=]{0,5}"|,CAN-SKIP-UNTIL=30){0,4})"#
        ),
        line_break in prop_oneof![Just("\n"), Just("\r\n")],
        tail in prop_oneof![Just(""), Just("#EXT-X-UNKNOWN:1"), Just("# é")],
    ) {
        let control = control.map(|list| format!("#EXT-X-SERVER-CONTROL:{list}"));
        let lines: Vec<&str> = ["#EXTM3U", "#EXT-X-TARGETDURATION:4", "#EXTINF:4,", "a"]
            .into_iter()
            .chain(control.as_deref())
            .chain([tail])
            .collect();
        let playlist = lines.join(line_break);
        let before = parse(playlist.as_bytes());
        let changed = offered(&playlist, Offer::Both);
        let after = parse(changed.as_bytes());
        prop_assert!(after.server_control.can_block_reload);
        prop_assert!(after.server_control.can_skip_until.is_some_and(|until| until >= seconds(24)));
        let is_legal = after.server_control.hold_back.is_none_or(|hold_back| hold_back >= seconds(12));
        prop_assert!(is_legal || changed == playlist);
        let same = Media {
            server_control: before.server_control.clone(),
            server_controls: before.server_controls,
            ..after
        };
        prop_assert_eq!(same, before);
        let others = |text: &str| -> Vec<String> {
            let others = text.split_inclusive('\n').filter(|line| !line.contains("-SERVER-CONTROL"));
            others.map(|line| line.trim_end_matches(['\r', '\n']).to_owned()).collect()
        };
        prop_assert_eq!(others(&changed), others(&playlist));
        prop_assert_eq!(offered(&changed, Offer::Both), changed);
    }
}
