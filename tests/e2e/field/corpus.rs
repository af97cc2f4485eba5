//! Playlists with one oddity each: what some server writes and players play. All are made here, features
//! crossed with oddities.

/// One playlist of the corpus.
#[derive(Clone, Copy)]
pub(super) struct Odd {
    feature: &'static str,
    base: Base,
    oddity: &'static str,
    change: Change,
}

type Base = fn(u64, bool) -> String;
type Change = fn(&str) -> Vec<u8>;

impl Odd {
    pub(super) fn name(self) -> String {
        format!("{}, {}", self.feature, self.oddity)
    }

    /// The bytes of a version; the next one lists the next segment. `ended` adds EXT-X-ENDLIST.
    pub(super) fn bytes(self, version: u64, ended: bool) -> Vec<u8> {
        (self.change)(&(self.base)(version, ended))
    }

    pub(super) fn is_multivariant(self) -> bool {
        self.feature.starts_with("multivariant")
    }
}

/// All of them.
pub(super) fn corpus() -> Vec<Odd> {
    let cross = |features: &[(&'static str, Base)], oddities: &[(&'static str, Change)]| -> Vec<Odd> {
        let of = |&(feature, base): &(&'static str, Base)| {
            oddities
                .iter()
                .map(move |&(oddity, change)| Odd { feature, base, oddity, change })
                .collect::<Vec<_>>()
        };
        features.iter().flat_map(of).collect()
    };
    let mut all = cross(MEDIA, EVERYWHERE);
    all.extend(cross(MEDIA, IN_MEDIA));
    all.extend(cross(MULTIVARIANT, EVERYWHERE));
    all.extend(cross(MULTIVARIANT, IN_MULTIVARIANT));
    all
}

const MEDIA: &[(&str, Base)] = &[
    ("plain segments", |version, ended| media(version, ended, "", "")),
    ("an initialisation section", |version, ended| {
        media(version, ended, "#EXT-X-MAP:URI=\"init.mp4\"\n", "")
    }),
    ("byte ranges", |version, ended| media(version, ended, "", "#EXT-X-BYTERANGE:100@{n}00\n")),
    ("encrypted segments", |version, ended| {
        media(version, ended, "#EXT-X-KEY:METHOD=AES-128,URI=\"key.bin\",IV=0x1\n", "")
    }),
    ("dates and discontinuities", |version, ended| {
        let each = "#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2026-10-05T10:00:{n}Z\n";
        media(version, ended, "#EXT-X-DISCONTINUITY-SEQUENCE:{n}\n", each)
    }),
    ("signed names", |version, ended| media(version, ended, "", "").replace(".ts", ".ts?token=a%2Fb&x=1")),
    ("date ranges", |version, ended| {
        media(version, ended, "#EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2026-10-05T10:00:00Z\",X-A=\"1\"\n", "")
    }),
];

const MULTIVARIANT: &[(&str, Base)] = &[
    ("multivariant", |_, _| "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=800000\nlow.m3u8\n".to_owned()),
    ("multivariant with renditions", |_, _| {
        "#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"n\",URI=\"audio.m3u8\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=800000,AUDIO=\"a\"\nlow.m3u8\n\
         #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=80000,URI=\"i.m3u8\"\n"
            .to_owned()
    }),
    ("multivariant with session data", |_, _| {
        "#EXTM3U\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-SESSION-DATA:DATA-ID=\"a\",VALUE=\"b\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"avc1.42c01e,mp4a.40.2\"\n{$host}/low.m3u8\n"
            .to_owned()
    }),
];

fn media(version: u64, ended: bool, head: &str, each: &str) -> String {
    let first = 10 + version;
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n{}",
        head.replace("{n}", &first.to_string())
    );
    for number in first..first + 4 {
        text += &each.replace("{n}", &number.to_string());
        text += &"#EXTINF:2.0,\ns{n}.ts\n".replace("{n}", &number.to_string());
    }
    if ended {
        text += "#EXT-X-ENDLIST\n";
    }
    text
}

fn replaced(text: &str, from: &str, to: &str) -> Vec<u8> {
    text.replace(from, to).into_bytes()
}

/// `text` with the line that begins like this replaced.
fn with_line(text: &str, beginning: &str, line: &str) -> Vec<u8> {
    let lines = text.split_inclusive('\n').map(|old| if old.starts_with(beginning) { line } else { old });
    lines.collect::<String>().into_bytes()
}

fn with_sequence(text: &str, line: &str) -> Vec<u8> {
    let number =
        text.lines().find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:")).unwrap_or_default();
    with_line(text, "#EXT-X-MEDIA-SEQUENCE:", &line.replace("{n}", number))
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|char| u8::try_from(u32::from(char)).unwrap_or(b'?')).collect()
}

const EVERYWHERE: &[(&str, Change)] = &[
    ("by the book", |text| text.into()),
    ("CRLF", |text| replaced(text, "\n", "\r\n")),
    ("CR alone", |text| replaced(text, "\n", "\r")),
    ("a byte order mark", |text| format!("\u{feff}{text}").into_bytes()),
    ("a blank line first", |text| format!("\n{text}").into_bytes()),
    ("blanks first", |text| format!("  {text}").into_bytes()),
    ("blank lines between", |text| replaced(text, "\n", "\n\n")),
    ("blanks after each line", |text| replaced(text, "\n", " \t\n")),
    ("tabs before each tag", |text| replaced(text, "\n#", "\n\t#")),
    ("attributes after EXTM3U", |text| replaced(text, "#EXTM3U", "#EXTM3U x-tvg-url=\"\"")),
    ("no line break at the end", |text| text.trim_end().into()),
    ("unknown tags and comments", |text| replaced(text, "\n#EXT", "\n#EXT-X-NEW:a=\"b\n## \n#EXT")),
    ("a bare #EXT", |text| replaced(text, "#EXTM3U\n", "#EXTM3U\n#EXT\n")),
    ("a comment in Latin-1", |text| latin1(&text.replace("#EXTM3U\n", "#EXTM3U\n# Caf\u{e9}\n"))),
    ("a comment of 64 KiB", |text| {
        replaced(text, "#EXTM3U\n", &format!("#EXTM3U\n# {}\n", "x".repeat(1 << 16)))
    }),
    ("NULs in a comment", |text| replaced(text, "#EXTM3U\n", "#EXTM3U\n# \0\0\n")),
    ("a version that is no number", |text| with_line(text, "#EXT-X-VERSION", "#EXT-X-VERSION:three\n")),
    ("no version", |text| with_line(text, "#EXT-X-VERSION", "")),
    ("attributes without quotes", |text| replaced(text, "\"", "")),
    ("blanks after commas", |text| replaced(text, ",", ", ")),
    ("blanks around =", |text| replaced(text, "=", " = ")),
    ("a comma at the end of each list", |text| replaced(text, "\"\n", "\",\n")),
    ("a broken definition", |text| replaced(text, "#EXTM3U\n", "#EXTM3U\n#EXT-X-DEFINE:NAME=\n")),
];

const IN_MEDIA: &[(&str, Change)] = &[
    ("target duration with a fraction", |text| replaced(text, "DURATION:2", "DURATION:1.5")),
    ("target duration after a blank", |text| replaced(text, "DURATION:2", "DURATION: 2 ")),
    ("target duration twice", |text| {
        replaced(text, "#EXT-X-TARGETDURATION:2\n", "#EXT-X-TARGETDURATION:2\n#EXT-X-TARGETDURATION:2\n")
    }),
    ("no target duration", |text| with_line(text, "#EXT-X-TARGETDURATION", "")),
    ("target duration in words", |text| replaced(text, "DURATION:2", "DURATION:two")),
    ("first number after a blank", |text| with_sequence(text, "#EXT-X-MEDIA-SEQUENCE: {n} \n")),
    ("first number with a fraction", |text| with_sequence(text, "#EXT-X-MEDIA-SEQUENCE:{n}.0\n")),
    ("first number of 20 digits", |text| {
        with_sequence(text, "#EXT-X-MEDIA-SEQUENCE:184467440737095515{n}\n")
    }),
    ("first number beyond 64 bits", |text| {
        with_sequence(text, "#EXT-X-MEDIA-SEQUENCE:9999999999999999999{n}\n")
    }),
    ("first number below zero", |text| with_sequence(text, "#EXT-X-MEDIA-SEQUENCE:-{n}\n")),
    ("an empty first number", |text| with_sequence(text, "#EXT-X-MEDIA-SEQUENCE:\n")),
    ("no first number", |text| with_sequence(text, "")),
    ("EXTINF without a comma", |text| replaced(text, "#EXTINF:2.0,", "#EXTINF:2")),
    ("EXTINF before a blank", |text| replaced(text, "#EXTINF:2.0,", "#EXTINF:2.0 ,")),
    ("EXTINF with a decimal comma", |text| replaced(text, "#EXTINF:2.0,", "#EXTINF:2,000,")),
    ("EXTINF with an exponent", |text| replaced(text, "#EXTINF:2.0,", "#EXTINF:2e0,")),
    ("EXTINF below zero", |text| replaced(text, "#EXTINF:2.0,", "#EXTINF:-1,")),
    ("EXTINF beyond any number", |text| replaced(text, "#EXTINF:2.0,", "#EXTINF:1e999,")),
    ("empty EXTINF", |text| replaced(text, "#EXTINF:2.0,", "#EXTINF:,")),
    ("EXTINF twice", |text| replaced(text, "#EXTINF:2.0,", "#EXTINF:9.0,\n#EXTINF:2.0,")),
    ("titles in Latin-1", |text| latin1(&text.replace("2.0,", "2.0,Caf\u{e9}"))),
    ("a line that is nothing", |text| replaced(text, "#EXTINF", "junk\n#EXTINF")),
    ("a variant among segments", |text| {
        let variant = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n";
        replaced(text, "#EXTM3U\n", variant)
    }),
    ("type in lower case", |text| replaced(text, "#EXTM3U\n", "#EXTM3U\n#EXT-X-PLAYLIST-TYPE:event\n")),
    ("an unknown type", |text| replaced(text, "#EXTM3U\n", "#EXTM3U\n#EXT-X-PLAYLIST-TYPE:LIVE\n")),
    ("a discontinuity number below zero", |text| {
        replaced(text, "#EXTM3U\n", "#EXTM3U\n#EXT-X-DISCONTINUITY-SEQUENCE:-1\n")
    }),
    ("a part and a key without a URI", |text| {
        replaced(text, "#EXTINF", "#EXT-X-KEY:METHOD=NONE\n#EXT-X-PART:DURATION=0.5\n#EXTINF")
    }),
    ("an initialisation section without a URI", |text| {
        replaced(text, "#EXTM3U\n", "#EXTM3U\n#EXT-X-MAP:BYTERANGE=\"x@\"\n")
    }),
    ("a date without a zone", |text| {
        replaced(text, "#EXTINF", "#EXT-X-PROGRAM-DATE-TIME:2026-10-05 10:00:00\n#EXTINF")
    }),
    ("a blank before the end", |text| replaced(text, "#EXT-X-ENDLIST", " #EXT-X-ENDLIST ")),
];

const IN_MULTIVARIANT: &[(&str, Change)] = &[
    ("no BANDWIDTH", |text| replaced(text, "BANDWIDTH=", "WIDTH=")),
    ("BANDWIDTH with a fraction", |text| replaced(text, "00,", "00.0,")),
    ("BANDWIDTH in quotes", |text| replaced(text, "BANDWIDTH=800000", "BANDWIDTH=\"800000\"")),
    ("no NAME", |text| replaced(text, "NAME=\"n\",", "")),
    ("no GROUP-ID", |text| replaced(text, "GROUP-ID=\"a\",", "")),
    ("a comment before the URI", |text| replaced(text, "low.m3u8", "# low\nlow.m3u8")),
    ("a last variant without a URI", |text| format!("{text}#EXT-X-STREAM-INF:BANDWIDTH=1\n").into_bytes()),
    ("EXT-X-ENDLIST", |text| format!("{text}#EXT-X-ENDLIST\n").into_bytes()),
    ("tags of a media playlist", |text| {
        replaced(text, "#EXTM3U\n", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:1\n")
    }),
];

#[test]
fn the_corpus_is_large_and_no_playlist_is_there_twice() {
    let all = corpus();
    let names: std::collections::HashSet<_> = all.iter().map(|odd| odd.name()).collect();
    let bytes: std::collections::HashSet<_> = all.iter().map(|odd| odd.bytes(1, true)).collect();
    assert_eq!(names.len(), all.len());
    // Some oddities mean nothing for some features, such as quotes where there are none.
    assert!(bytes.len() >= 350, "{}", bytes.len());
}
