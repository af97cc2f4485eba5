//! The delivery directives in the query of a playlist (HLS section 6.2.5): block until it has a segment or
//! part, and leave out what the player has.

use http::StatusCode;

use super::{Position, Progress};
use crate::answer::Refusal;

/// The delivery directives of a request.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Directives {
    /// `_HLS_msn`
    segment: Option<u64>,
    /// `_HLS_part`
    part: Option<u64>,
    /// `_HLS_skip`
    pub(crate) extent: Extent,
}

/// How much of a playlist is sent.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Extent {
    #[default]
    Full,
    /// Without the segments before the skip boundary.
    Delta,
}

impl Directives {
    /// Parses the query. Unknown parameters are ignored; of repeated ones the last one counts.
    pub(crate) fn parse(query: &str) -> Result<Self, Refusal> {
        let mut directives = Self::default();
        for pair in query.split('&') {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("_HLS_msn", value) => directives.segment = Some(number("_HLS_msn", value)?),
                ("_HLS_part", value) => directives.part = Some(number("_HLS_part", value)?),
                ("_HLS_skip", "YES" | "v2") => directives.extent = Extent::Delta,
                _ => {}
            }
        }
        // HLS section 6.2.5.2: a part belongs to a segment.
        if directives.part.is_some() && directives.segment.is_none() {
            return Err(bad("_HLS_part needs an _HLS_msn".to_owned()));
        }
        Ok(directives)
    }

    /// The part that the playlist must have, if any. Refuses one that is too far ahead (HLS section 6.2.5.2).
    pub(crate) fn wanted(&self, progress: &Progress) -> Result<Option<Position>, Refusal> {
        let Some(segment) = self.segment else { return Ok(None) };
        let (end, per_segment) = (progress.window.end, progress.cut.per_segment);
        // The last segment is `end - 1`, and two more may be requested.
        if segment > end + 1 {
            let last = end - 1;
            return Err(bad(format!("segment {segment} is too far ahead: the last one is {last}")));
        }
        let Some(part) = self.part else {
            return Ok(Some(Position { segment, part: per_segment - 1 }));
        };
        let ahead = (segment.saturating_sub(end) * per_segment).saturating_add(part);
        if segment >= end && ahead >= progress.parts + progress.cut.advance_limit() {
            return Err(bad(format!("part {part} of segment {segment} is too far ahead")));
        }
        // A part past the last one of its segment is the first one of the next.
        let rolls_over = part >= per_segment;
        Ok(Some(if rolls_over {
            Position { segment: segment + 1, part: 0 }
        } else {
            Position { segment, part }
        }))
    }
}

fn number(name: &str, value: &str) -> Result<u64, Refusal> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse().ok().filter(|_| digits);
    number.ok_or_else(|| bad(format!("{name} is a whole number, not {value:?}")))
}

fn bad(why: String) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, why)
}

#[cfg(test)]
mod tests {
    use super::super::tests::progress;
    use super::*;

    /// Segments up to 499 and parts 0 and 1 of segment 500 exist.
    const MILLIS: u64 = 1_000_700;

    fn wanted(query: &str) -> Result<Option<(u64, u64)>, u16> {
        let wanted = Directives::parse(query).and_then(|directives| directives.wanted(&progress(MILLIS)));
        wanted
            .map(|wanted| wanted.map(|Position { segment, part }| (segment, part)))
            .map_err(|refusal| refusal.status.as_u16())
    }

    #[test]
    fn a_player_may_wait_for_a_segment_or_for_a_part() {
        for (query, expected) in [
            ("", Ok(None)),
            ("_HLS_msn=500", Ok(Some((500, 5)))),
            ("_HLS_msn=501", Ok(Some((501, 5)))),
            ("_HLS_msn=500&_HLS_part=2", Ok(Some((500, 2)))),
            ("x=1&_HLS_part=2&_HLS_msn=500&_HLS_push=0", Ok(Some((500, 2)))),
            ("_HLS_msn=3&_HLS_part=1", Ok(Some((3, 1)))),
        ] {
            assert_eq!(wanted(query), expected, "{query}");
        }
    }

    #[test]
    fn a_part_past_the_last_one_is_the_first_of_the_next_segment() {
        assert_eq!(wanted("_HLS_msn=500&_HLS_part=6"), Ok(Some((501, 0))));
        assert_eq!(wanted("_HLS_msn=499&_HLS_part=6"), Ok(Some((500, 0))));
        assert_eq!(wanted("_HLS_msn=499&_HLS_part=1000"), Ok(Some((500, 0))));
    }

    #[test]
    fn a_directive_that_is_too_far_ahead_or_invalid_is_a_bad_request() {
        for query in [
            "_HLS_msn=502",
            "_HLS_msn=18446744073709551615",
            "_HLS_msn=99999999999999999999",
            "_HLS_msn=500&_HLS_part=10",
            "_HLS_msn=501&_HLS_part=4",
            "_HLS_msn=501&_HLS_part=18446744073709551615",
            "_HLS_part=0",
            "_HLS_msn=",
            "_HLS_msn=+500",
            "_HLS_msn=500&_HLS_part=x",
        ] {
            assert_eq!(wanted(query), Err(400), "{query}");
        }
        // Part 1 is the last one, and eight more may be requested.
        assert_eq!(wanted("_HLS_msn=500&_HLS_part=9"), Ok(Some((501, 0))));
        assert_eq!(wanted("_HLS_msn=501&_HLS_part=3"), Ok(Some((501, 3))));
    }

    #[test]
    fn a_delta_is_sent_for_yes_and_for_v2() {
        for (query, extent) in [
            ("_HLS_skip=YES", Extent::Delta),
            ("_HLS_skip=v2", Extent::Delta),
            ("_HLS_skip=NO", Extent::Full),
        ] {
            assert_eq!(Directives::parse(query).unwrap().extent, extent, "{query}");
        }
    }
}
