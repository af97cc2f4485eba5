//! Any bytes as a playlist whose links get a token: all other bytes stay, the token is added at most once to
//! each link, and the links of the result are those of the playlist.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_hls::{Addition, Links};

const HOST: &str = "live.example";
/// Inputs do not have its last two characters, so that each in a result was added.
const TOKEN: &str = "t=~~";

fuzz_target!(|playlist: &[u8]| {
    if playlist.windows(2).any(|pair| pair == b"~~") {
        return;
    }
    let links = Links::of(playlist);
    let with_parameter = links.extend(playlist, HOST, Addition::Parameter(TOKEN));
    let with_path = links.extend(playlist, HOST, Addition::Path("/~~"));
    assert!(!links.is_empty() || with_parameter.is_none() && with_path.is_none());
    for (extended, added) in [(&with_parameter, &["?t=~~", "&t=~~"][..]), (&with_path, &["/~~"])] {
        let Some(extended) = extended else { continue };
        let (removed, count) = without(extended, added);
        assert_eq!(removed, playlist);
        assert!((1..=links.len()).contains(&count));
    }
    if let Some(extended) = with_parameter {
        assert_eq!(Links::of(&extended).len(), links.len(), "a token makes another link of it");
    }
});

/// Some bytes without the additions, and how many there were.
fn without(mut bytes: &[u8], additions: &[&str]) -> (Vec<u8>, usize) {
    let (mut rest, mut count) = (Vec::new(), 0);
    while let Some((first, after)) = bytes.split_first() {
        if let Some(addition) = additions.iter().find(|addition| bytes.starts_with(addition.as_bytes())) {
            bytes = &bytes[addition.len()..];
            count += 1;
        } else {
            rest.push(*first);
            bytes = after;
        }
    }
    (rest, count)
}
