//! Every URI of a playlist, for a node that changes some of them.

use crate::lines::lines;

/// Attributes whose values are URIs (HLS sections 4.4 and 4.4.5.1, and interstitials in appendix D).
const URI_ATTRIBUTES: [&[u8]; 4] = [b"URI", b"SERVER-URI", b"X-ASSET-URI", b"X-ASSET-LIST"];

/// Replaces URIs for which `replace` returns another one. `None` if nothing changes. URIs with variables (HLS
/// section 4.3) stay, because only a player knows their values.
pub fn replace_uris(playlist: &[u8], mut replace: impl FnMut(&str) -> Option<String>) -> Option<Vec<u8>> {
    let mut out: Option<Vec<u8>> = None;
    let mut copied = 0;
    let mut start = 0;
    for line in lines(playlist) {
        for (from, to) in uris(line.text()) {
            let Some(uri) = line.raw.get(from..to).and_then(|uri| std::str::from_utf8(uri).ok()) else {
                continue;
            };
            if let Some(replacement) = (!uri.contains("{$")).then(|| replace(uri)).flatten() {
                let out = out.get_or_insert_with(|| Vec::with_capacity(playlist.len()));
                out.extend_from_slice(playlist.get(copied..start + from).unwrap_or_default());
                out.extend_from_slice(replacement.as_bytes());
                copied = start + to;
            }
        }
        start += line.raw.len();
    }
    let mut out = out?;
    out.extend_from_slice(playlist.get(copied..).unwrap_or_default());
    Some(out)
}

/// The places of the URIs in one line, in order.
pub(super) fn uris(text: &[u8]) -> Vec<(usize, usize)> {
    if !text.starts_with(b"#") {
        let start = text.len() - text.trim_ascii_start().len();
        let end = text.trim_ascii_end().len();
        return if start < end { vec![(start, end)] } else { Vec::new() };
    }
    if !text.starts_with(b"#EXT") {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(equals) = text.get(at..).and_then(|rest| rest.windows(2).position(|pair| pair == b"=\"")) {
        let value = at + equals + 2;
        let rest = text.get(value..).unwrap_or_default();
        let Some(length) = rest.iter().position(|&byte| byte == b'"') else { break };
        let name = text.get(at..value - 2).unwrap_or_default();
        let name = name.rsplit(|byte| matches!(byte, b',' | b':')).next().unwrap_or_default().trim_ascii();
        if URI_ATTRIBUTES.contains(&name) {
            found.push((value, value + length));
        }
        at = value + length + 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uris_of_all_tags_are_found_and_nothing_else() {
        let playlist = "#EXTM3U\r\n\
            #EXT-X-SESSION-DATA:DATA-ID=\"a,URI=b\",URI=\"u1\",LANGUAGE=\"en\"\r\n\
            #EXT-X-CONTENT-STEERING:SERVER-URI=\"u2\",PATHWAY-ID=\"A\"\r\n\
            #EXT-X-MEDIA:TYPE=AUDIO, URI=\"u3\"\n\
            #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"u4\"\n\
            #EXT-X-KEY:METHOD=AES-128,URI=\"u5\",IV=0x1\n\
            #EXT-X-MAP:URI=\"u6\",BYTERANGE=\"1@0\"\n\
            #EXT-X-PART:DURATION=1,URI=\"u7\"\n\
            #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"u8\"\n\
            #EXT-X-RENDITION-REPORT:URI=\"u9\",LAST-MSN=1\n\
            #EXT-X-DATERANGE:ID=\"i\",X-ASSET-URI=\"u10\",X-OTHER=\"u\"\n\
            #EXTINF:2,URI=title\n  u11 \n#URI=\"comment\"\n#EXTINF:2,\n{$host}/u\n\n";
        let mut seen = Vec::new();
        assert_eq!(
            replace_uris(playlist.as_bytes(), |uri| {
                seen.push(uri.to_owned());
                None
            }),
            None
        );
        assert_eq!(seen, (1..=11).map(|number| format!("u{number}")).collect::<Vec<_>>());

        let replaced =
            replace_uris(playlist.as_bytes(), |uri| (uri != "u7").then(|| format!("/x/{uri}"))).unwrap();
        let expected =
            (1..=11).rev().filter(|number| *number != 7).fold(playlist.to_owned(), |text, number| {
                let (plain, quoted) = (format!("  u{number} "), format!("\"u{number}\""));
                text.replace(&plain, &format!("  /x/u{number} "))
                    .replace(&quoted, &format!("\"/x/u{number}\""))
            });
        assert_eq!(String::from_utf8(replaced).unwrap(), expected);
    }
}
