//! CMCD (CTA-5004): what a player reports about itself, in four headers or a query parameter.
//!
//! Both carry dictionaries of structured fields. A value of the wrong type is left out; a dictionary that
//! cannot be parsed counts as empty. `nor` and `nrr` are hints for prefetching, may contain tokens, and are
//! not logged.

use http::HeaderMap;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use sfv::{BareItem, Dictionary, ListEntry, Parser};

/// The keys of CMCD version 1. Times are milliseconds, bit rates kilobits per second.
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
    /// Content id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cid: Option<String>,
    /// Duration of the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub d: Option<i64>,
    /// Deadline for the first byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dl: Option<i64>,
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

impl Cmcd {
    /// From the value of the query parameter `CMCD` as it was sent, percent-encoded. `None` if there is
    /// nothing to log.
    pub fn from_query(coded: &str) -> Option<Self> {
        let mut cmcd = Self::default();
        if coded.len() <= CODED_LEN_MAX {
            cmcd.read(&percent_decode_str(coded).collect::<Vec<u8>>());
        }
        cmcd.if_any()
    }

    /// From a request's `CMCD-*` headers. `None` if there is nothing to log.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut cmcd = Self::default();
        for name in HEADERS {
            for line in headers.get_all(name) {
                cmcd.read(line.as_bytes());
            }
        }
        cmcd.if_any()
    }

    fn if_any(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }

    fn read(&mut self, dictionary: &[u8]) {
        if dictionary.len() > LEN_MAX {
            return;
        }
        let Ok(dictionary) = Parser::new(dictionary).parse::<Dictionary>() else { return };
        for (key, entry) in &dictionary {
            // Version 2 makes lists of some values, one per object of the request; the first is logged.
            let item = match entry {
                ListEntry::Item(item) => Some(item),
                ListEntry::InnerList(list) => list.items.first(),
            };
            if let Some(item) = item {
                self.set(key.as_str(), &item.bare_item);
            }
        }
    }

    fn set(&mut self, key: &str, value: &BareItem) {
        match key {
            "br" => self.br = integer(value).or(self.br),
            "bl" => self.bl = integer(value).or(self.bl),
            "d" => self.d = integer(value).or(self.d),
            "dl" => self.dl = integer(value).or(self.dl),
            "mtp" => self.mtp = integer(value).or(self.mtp),
            "rtp" => self.rtp = integer(value).or(self.rtp),
            "tb" => self.tb = integer(value).or(self.tb),
            "v" => self.v = integer(value).or(self.v),
            "bs" => self.bs = value.as_boolean().or(self.bs),
            "su" => self.su = value.as_boolean().or(self.su),
            "pr" => self.pr = number(value).or(self.pr),
            "cid" => self.cid = text(value).or_else(|| self.cid.take()),
            "ot" => self.ot = text(value).or_else(|| self.ot.take()),
            "sf" => self.sf = text(value).or_else(|| self.sf.take()),
            "sid" => self.sid = text(value).or_else(|| self.sid.take()),
            "st" => self.st = text(value).or_else(|| self.st.take()),
            _ => {}
        }
    }
}

const HEADERS: [&str; 4] = ["cmcd-request", "cmcd-object", "cmcd-status", "cmcd-session"];

const LEN_MAX: usize = 2048;
const CODED_LEN_MAX: usize = 3 * LEN_MAX;

/// The number of characters that CTA-5004 allows in `cid` and `sid`.
const TEXT_LEN_MAX: usize = 64;

fn integer(value: &BareItem) -> Option<i64> {
    value.as_integer().map(i64::from)
}

fn number(value: &BareItem) -> Option<f64> {
    let integer = || sfv::Decimal::try_from(i64::from(value.as_integer()?)).ok();
    value.as_decimal().or_else(integer).map(f64::from)
}

/// Strings and tokens, cut to the length that the standard allows. Both are ASCII.
fn text(value: &BareItem) -> Option<String> {
    let text = value.as_string().map(sfv::StringRef::as_str).or_else(|| Some(value.as_token()?.as_str()))?;
    Some(text.get(..TEXT_LEN_MAX).unwrap_or(text).to_owned())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

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
        assert_eq!(Cmcd::from_query(query), Some(expected));
    }

    #[test]
    fn the_four_headers_add_up() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("cmcd-request", "mtp=25400, dl=18600"),
            ("cmcd-object", "br=(3200 6400), d=4004"),
            ("cmcd-status", "bs=?0, rtp=12000"),
            ("cmcd-session", "v=2, pr=0, sid=\"x\""),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let cmcd = Cmcd::from_headers(&headers).unwrap();
        let numbers = [cmcd.mtp, cmcd.dl, cmcd.br, cmcd.d, cmcd.rtp, cmcd.v];
        assert_eq!(numbers, [Some(25400), Some(18600), Some(3200), Some(4004), Some(12000), Some(2)]);
        assert_eq!((cmcd.bs, cmcd.pr, cmcd.sid.as_deref()), (Some(false), Some(0.0), Some("x")));
    }

    #[test]
    fn invalid_values_are_not_logged() {
        let long = format!("sid%3D%22{}%22", "x".repeat(LEN_MAX));
        for query in ["", "", "%00%FF", "BR%3D1", "br%3D%22x%22", "cmcd=br%3D1", "zz%3D1", &long] {
            assert_eq!(Cmcd::from_query(query), None, "{query}");
        }
    }

    #[test]
    fn a_long_session_id_is_cut() {
        let query = format!("sid%3D%22{}%22", "x".repeat(500));
        assert_eq!(Cmcd::from_query(&query).unwrap().sid.unwrap().len(), TEXT_LEN_MAX);
    }
}
