//! Any text as CMCD: all that is read is bounded, and a member that is added at the end counts.
#![no_main]

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use tidegate_headers::cmcd::{self, Cmcd, REPORTS_MAX};

/// Characters of a text, and digits of a number, as the standard bounds them.
const TEXT_MAX: usize = 64;
const NUMBER_MAX: i64 = 999_999_999_999_999;

fuzz_target!(|text: &str| {
    let reading = cmcd::read(Some(text), &HeaderMap::new()).unwrap();
    if let Some(cmcd) = &reading.cmcd {
        check(cmcd);
    }
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert("cmcd-status", value);
        if let Some(cmcd) = cmcd::read(None, &headers).unwrap().cmcd {
            check(&cmcd);
        }
        // Fields add up: what one of them says does not hide another.
        headers.insert("cmcd-session", HeaderValue::from_static("sid=\"the last\""));
        assert_eq!(cmcd::read(None, &headers).unwrap().cmcd.unwrap().sid.as_deref(), Some("the last"));
    }
    let mut count = 0;
    for posted in cmcd::read_posted(text) {
        count += 1;
        if let Some(cmcd) = &posted.cmcd {
            check(cmcd);
        }
    }
    assert!(count <= REPORTS_MAX);
});

fn check(cmcd: &Cmcd) {
    for text in [&cmcd.cid, &cmcd.e, &cmcd.ot, &cmcd.sf, &cmcd.sid, &cmcd.st, &cmcd.sta].into_iter().flatten() {
        assert!(text.chars().count() <= TEXT_MAX && !text.chars().any(char::is_control));
    }
    let numbers = [cmcd.br, cmcd.bl, cmcd.bsd, cmcd.d, cmcd.dl, cmcd.ltc, cmcd.msd, cmcd.mtp, cmcd.rtp, cmcd.tb];
    for number in numbers.into_iter().flatten() {
        assert!(number.abs() <= NUMBER_MAX);
        let (rate, time) = (cmcd.bits_per_second(Some(number)), cmcd.seconds(Some(number)));
        assert_eq!(rate.is_some(), number >= 0 && number <= i64::from(u32::MAX));
        assert_eq!(rate.is_some(), time.is_some());
        assert!(rate.is_none_or(|rate| rate >= 0.0) && time.is_none_or(|time| time >= 0.0));
    }
    assert!(cmcd.pr.is_none_or(f64::is_finite));
}
