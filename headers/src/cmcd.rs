//! CMCD (CTA-5004, CTA-5004-B): what a player reports about itself, in four header fields, in a query
//! parameter, or in the lines of a body that it posts.
//!
//! All carry dictionaries of structured fields. Players write them in many ways, so each member is read
//! alone: one that cannot be read is left out, and counts as malformed. `nor` and `nrr` are hints for
//! prefetching, may contain tokens, and are not read.

use http::HeaderMap;
use percent_encoding::percent_decode_str;
use serde::Serialize;

/// The keys of CMCD that are read. Times are milliseconds, bit rates kilobits per second.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Cmcd {
    /// Encoded bit rate of the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub br: Option<i64>,
    /// Buffer length.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bl: Option<i64>,
    /// The buffer ran empty since the previous request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bs: Option<bool>,
    /// How long the buffer was empty (version 2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bsd: Option<i64>,
    /// Content id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cid: Option<String>,
    /// Duration of the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub d: Option<i64>,
    /// Deadline for the first byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dl: Option<i64>,
    /// The event that is reported (version 2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e: Option<String>,
    /// Latency behind the live edge (version 2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ltc: Option<i64>,
    /// Delay between the request to play and the first frame (version 2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub msd: Option<i64>,
    /// Measured throughput.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtp: Option<i64>,
    /// Object type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ot: Option<String>,
    /// Playback rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pr: Option<f64>,
    /// Requested maximum throughput.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtp: Option<i64>,
    /// Streaming format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sf: Option<String>,
    /// Session id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// Stream type: `v` on demand, `l` live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub st: Option<String>,
    /// State of the player (version 2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sta: Option<String>,
    /// The object is needed immediately: start, seek or empty buffer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub su: Option<bool>,
    /// Highest bit rate the player may choose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tb: Option<i64>,
    /// Version of CMCD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub v: Option<i64>,
}

/// The result of reading a request's CMCD.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// What could be read; `None` if nothing.
    pub cmcd: Option<Cmcd>,
    /// Whether a member could not be read.
    pub is_malformed: bool,
}

/// The header fields with CMCD.
pub const FIELDS: [&str; 4] = ["cmcd-request", "cmcd-object", "cmcd-status", "cmcd-session"];

/// Reads the CMCD of a request: of the query parameter as it was sent, percent-encoded, or else of its header
/// fields. `None` if it has neither.
pub fn read(query: Option<&str>, headers: &HeaderMap) -> Option<Reading> {
    let of_query = query.map(read_query);
    if of_query.as_ref().is_some_and(|reading| reading.cmcd.is_some()) {
        return of_query;
    }
    let is_in_fields = FIELDS.iter().any(|name| headers.contains_key(*name));
    if is_in_fields { Some(read_headers(headers)) } else { of_query }
}

/// Reads the reports that a player posts: one in each line, not percent-encoded. At most [`REPORTS_MAX`] are
/// read.
pub fn read_posted(body: &str) -> impl Iterator<Item = Reading> {
    let lines = body.lines().filter(|line| !line.trim().is_empty());
    lines.take(REPORTS_MAX).map(|line| {
        let mut reader = Reader::default();
        reader.read(line);
        reader.end()
    })
}

impl Cmcd {
    /// From the value of the query parameter `CMCD` as it was sent. `None` if nothing can be read.
    pub fn from_query(coded: &str) -> Option<Self> {
        read_query(coded).cmcd
    }

    /// From a request's `CMCD-*` fields. `None` if nothing can be read.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        read_headers(headers).cmcd
    }

    /// Bits per second of a rate in kilobits per second, if it is a possible rate.
    pub fn bits_per_second(&self, kilobits: Option<i64>) -> Option<f64> {
        u32::try_from(kilobits?).ok().map(|kilobits| f64::from(kilobits) * 1000.0)
    }

    /// Seconds of a time in milliseconds, if it is a possible time.
    pub fn seconds(&self, milliseconds: Option<i64>) -> Option<f64> {
        u32::try_from(milliseconds?).ok().map(|milliseconds| f64::from(milliseconds) / 1000.0)
    }

    /// Sets a key; `None` if the value has the wrong type. Unknown keys are ignored.
    fn set(&mut self, key: &str, value: &Value<'_>) -> Option<()> {
        match key {
            "br" => self.br = Some(value.integer()?),
            "bsd" => self.bsd = Some(value.integer()?),
            "bl" => self.bl = Some(value.integer()?),
            "d" => self.d = Some(value.integer()?),
            "dl" => self.dl = Some(value.integer()?),
            "ltc" => self.ltc = Some(value.integer()?),
            "msd" => self.msd = Some(value.integer()?),
            "mtp" => self.mtp = Some(value.integer()?),
            "rtp" => self.rtp = Some(value.integer()?),
            "tb" => self.tb = Some(value.integer()?),
            "v" => self.v = Some(value.integer()?),
            "bs" => self.bs = Some(value.boolean()?),
            "su" => self.su = Some(value.boolean()?),
            "pr" => self.pr = Some(value.number()?),
            "cid" => self.cid = Some(value.text()?),
            "e" => self.e = Some(value.text()?),
            "ot" => self.ot = Some(value.text()?),
            "sf" => self.sf = Some(value.text()?),
            "sid" => self.sid = Some(value.text()?),
            "st" => self.st = Some(value.text()?),
            "sta" => self.sta = Some(value.text()?),
            _ => {}
        }
        Some(())
    }
}

fn read_query(coded: &str) -> Reading {
    let mut reader = Reader::default();
    if coded.len() <= CODED_LEN_MAX {
        reader.read(&percent_decode_str(coded).decode_utf8_lossy());
    } else {
        reader.is_malformed = true;
    }
    reader.end()
}

fn read_headers(headers: &HeaderMap) -> Reading {
    let mut reader = Reader::default();
    for line in FIELDS.iter().flat_map(|name| headers.get_all(*name)) {
        reader.read(&String::from_utf8_lossy(line.as_bytes()));
    }
    reader.end()
}

/// Reads dictionaries, one after the other.
#[derive(Default)]
struct Reader {
    cmcd: Cmcd,
    is_malformed: bool,
}

impl Reader {
    fn read(&mut self, dictionary: &str) {
        if dictionary.len() > LEN_MAX {
            self.is_malformed = true;
            return;
        }
        for member in Members(Some(dictionary)).map(str::trim).filter(|member| !member.is_empty()) {
            let (key, value) = match member.split_once('=') {
                Some((key, value)) => (key.trim(), Value::of(value.trim())),
                None => (member, Some(Value::Boolean(true))),
            };
            let is_key = key.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
            let set = value.filter(|_| is_key).and_then(|value| self.cmcd.set(key, &value));
            self.is_malformed |= set.is_none();
        }
    }

    fn end(self) -> Reading {
        let is_any = self.cmcd != Cmcd::default();
        Reading { cmcd: is_any.then_some(self.cmcd), is_malformed: self.is_malformed }
    }
}

/// The members of a dictionary: the text between commas that no quotes or parentheses contain.
struct Members<'a>(Option<&'a str>);

impl<'a> Iterator for Members<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.0.take()?;
        let (mut is_quoted, mut is_escaped, mut depth) = (false, false, 0_u32);
        for (at, byte) in rest.bytes().enumerate() {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if is_quoted => is_escaped = true,
                b'"' => is_quoted = !is_quoted,
                b'(' if !is_quoted => depth += 1,
                b')' if !is_quoted => depth = depth.saturating_sub(1),
                b',' if !is_quoted && depth == 0 => {
                    self.0 = rest.get(at + 1..);
                    return rest.get(..at);
                }
                _ => {}
            }
        }
        Some(rest)
    }
}

/// The value of a member. Of a list, which version 2 writes for several objects, it is the first.
enum Value<'a> {
    Boolean(bool),
    String(String),
    /// A number or a token.
    Bare(&'a str),
}

impl<'a> Value<'a> {
    fn of(text: &'a str) -> Option<Self> {
        if let Some(list) = text.strip_prefix('(') {
            let list = list.trim_start();
            if list.starts_with('(') || !text.contains(')') {
                return None;
            }
            return Self::of(list.trim_end_matches(')'));
        }
        if let Some(quoted) = text.strip_prefix('"') {
            return string(quoted).map(Self::String);
        }
        // Parameters of the value, and further items of its list, are not read.
        let bare = text.split([';', ' ', ')']).next().unwrap_or_default();
        match bare {
            "?1" | "true" => Some(Self::Boolean(true)),
            "?0" | "false" => Some(Self::Boolean(false)),
            _ => (!bare.is_empty() && !bare.contains('"')).then_some(Self::Bare(bare)),
        }
    }

    fn boolean(&self) -> Option<bool> {
        if let Self::Boolean(value) = self { Some(*value) } else { None }
    }

    fn number(&self) -> Option<f64> {
        let Self::Bare(text) = self else { return None };
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-'));
        text.parse().ok().filter(|number: &f64| is_number && number.is_finite())
    }

    /// Some players write whole numbers with a fraction.
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and the range is checked")]
    fn integer(&self) -> Option<i64> {
        let number = self.number()?.round();
        (number.abs() <= INTEGER_MAX).then_some(number as i64)
    }

    /// Cut to the length that the standard allows.
    fn text(&self) -> Option<String> {
        let text = match self {
            Self::String(text) => text.as_str(),
            Self::Bare(text) => text,
            Self::Boolean(_) => return None,
        };
        Some(text.chars().filter(|letter| !letter.is_control()).take(TEXT_LEN_MAX).collect())
    }
}

/// The text up to the closing quote.
fn string(quoted: &str) -> Option<String> {
    let mut text = String::new();
    let mut letters = quoted.chars();
    loop {
        match letters.next()? {
            '"' => return Some(text),
            '\\' => text.push(letters.next()?),
            letter => text.push(letter),
        }
    }
}

/// Reports in one body.
pub const REPORTS_MAX: usize = 256;

const LEN_MAX: usize = 2048;
const CODED_LEN_MAX: usize = 3 * LEN_MAX;
/// The number of characters that CTA-5004 allows in `cid` and `sid`.
const TEXT_LEN_MAX: usize = 64;
/// Integers of structured fields have 15 digits (RFC 9651 section 3.3.1).
const INTEGER_MAX: f64 = 999_999_999_999_999.0;

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_query_parameter_is_read() {
        let query = "bl%3D21300%2Cbr%3D3200%2Cbs%2Ccid%3D%22faec5fc2%22%2Cd%3D4004%2Cot%3Dv%2Cpr%3D1.08%2C\
                     sf%3Dh%2Csid%3D%226e2fb550%22%2Cst%3Dl%2Csu%2Ctb%3D6000%2Cnor%3D%22..%252Fseg.ts%22";
        let expected = Cmcd {
            bl: Some(21300),
            br: Some(3200),
            bs: Some(true),
            cid: Some("faec5fc2".to_owned()),
            d: Some(4004),
            ot: Some("v".to_owned()),
            pr: Some(1.08),
            sf: Some("h".to_owned()),
            sid: Some("6e2fb550".to_owned()),
            st: Some("l".to_owned()),
            su: Some(true),
            tb: Some(6000),
            ..Cmcd::default()
        };
        assert_eq!(read_query(query), Reading { cmcd: Some(expected), is_malformed: false });
    }

    #[test]
    fn the_four_header_fields_add_up() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("cmcd-request", "mtp=25400, dl=18600, ltc=2100"),
            ("cmcd-object", "br=(3200 6400), d=4004, bl=(900;v)"),
            ("cmcd-status", "bs=?0, rtp=12000"),
            ("cmcd-session", "v=2, pr=0, sid=\"x, \\\"y\\\"\", sta=p"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let reading = read(None, &headers).unwrap();
        assert!(!reading.is_malformed);
        let cmcd = reading.cmcd.unwrap();
        let numbers = [cmcd.mtp, cmcd.dl, cmcd.br, cmcd.d, cmcd.rtp, cmcd.v, cmcd.ltc, cmcd.bl];
        assert_eq!(numbers, [25400, 18600, 3200, 4004, 12000, 2, 2100, 900].map(Some));
        assert_eq!((cmcd.bs, cmcd.pr, cmcd.sid.as_deref()), (Some(false), Some(0.0), Some("x, \"y\"")));
        assert_eq!(cmcd.sta.as_deref(), Some("p"));
        assert_eq!(read(None, &HeaderMap::new()), None);
        assert_eq!(read(Some("sid=q"), &headers).unwrap().cmcd.unwrap().sid.as_deref(), Some("q"));
        assert_eq!(read(Some(""), &headers).unwrap().cmcd, Some(cmcd));
    }

    #[test]
    fn each_line_of_a_posted_body_is_a_report() {
        let body =
            "e=ps,sid=\"a\",sta=r,ts=1700000000000,v=2\r\n\ne=t,sid=\"a%2C\",bsd=(1200 300),bl=(\"x\")\n";
        let readings: Vec<_> = read_posted(body).collect();
        let [first, second] = &readings[..] else { panic!("{readings:?}") };
        let found = |reading: &Reading| reading.cmcd.clone().unwrap();
        assert_eq!((found(first).e.as_deref(), found(first).sta.as_deref()), (Some("ps"), Some("r")));
        assert_eq!((found(second).sid.as_deref(), found(second).bsd), (Some("a%2C"), Some(1200)));
        assert_eq!((first.is_malformed, second.is_malformed), (false, true));
        assert_eq!(read_posted(&"e=t\n".repeat(REPORTS_MAX + 1)).count(), REPORTS_MAX);
    }

    #[test]
    fn a_malformed_member_is_left_out_alone() {
        for (text, sid, is_malformed) in [
            ("sid=\"a\",br=\"x\"", Some("a"), true),
            ("br=,sid=a-b_c", Some("a-b_c"), true),
            ("sid=6e2fb550-1d2c,,Com.Example-Key=7", Some("6e2fb550-1d2c"), false),
            ("sid=\"a", None, true),
            ("bs=?1,sid=\"\"", Some(""), false),
            ("sid", None, true),
            ("nor=\"a%2Cb,sid=z\",sid=\"a\"", Some("a"), false),
            ("BR=1", None, false),
            ("", None, false),
            ("\0\u{fffd}", None, true),
            ("br=((1)),sid=a", Some("a"), true),
        ] {
            let reading = read_query(text);
            let found = reading.cmcd.and_then(|cmcd| cmcd.sid);
            assert_eq!((found.as_deref(), reading.is_malformed), (sid, is_malformed), "{text}");
        }
    }

    #[test]
    fn numbers_are_bounded() {
        for (text, br) in [
            ("br=3200.4", Some(3200)),
            ("br=-1", Some(-1)),
            ("br=1e300", None),
            ("br=inf", None),
            ("br=99999999999999999999", None),
        ] {
            assert_eq!(read_query(text).cmcd.and_then(|cmcd| cmcd.br), br, "{text}");
        }
        let cmcd = Cmcd::default();
        assert_eq!(cmcd.bits_per_second(Some(-1)), None);
        assert_eq!((cmcd.bits_per_second(Some(2)), cmcd.seconds(Some(1500))), (Some(2000.0), Some(1.5)));
    }

    #[test]
    fn long_texts_are_cut_and_long_dictionaries_ignored() {
        let query = format!("sid%3D%22{}%22", "x".repeat(500));
        assert_eq!(Cmcd::from_query(&query).unwrap().sid.unwrap().len(), TEXT_LEN_MAX);
        let long = read_query(&format!("sid%3D%22{}%22", "x".repeat(LEN_MAX)));
        assert_eq!(long, Reading { cmcd: None, is_malformed: true });
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(sid in "[ -~]{0,64}", br in 0_i64..1_000_000, bs: bool) {
            let quoted = sid.replace('\\', "\\\\").replace('"', "\\\"");
            let text = format!("sid=\"{quoted}\", br={br}, bs=?{}", u8::from(bs));
            let mut reader = Reader::default();
            reader.read(&text);
            let cmcd = Cmcd { sid: Some(sid), br: Some(br), bs: Some(bs), ..Cmcd::default() };
            prop_assert_eq!(reader.end(), Reading { cmcd: Some(cmcd), is_malformed: false });
        }
    }
}
