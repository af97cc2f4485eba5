//! Delivery directives: the reserved query parameters of HLS (section 6.2.5).

use super::ResourceError;

/// A client's directives for the delivery of a media playlist.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Directives {
    /// `_HLS_msn`: block until the playlist has the segment with this sequence number.
    pub msn: Option<u64>,
    /// `_HLS_part`: or until it has this part of the segment. Never without `msn`.
    pub part: Option<u64>,
    /// `_HLS_skip`: older segments may be skipped.
    pub skip: Option<Skip>,
}

/// What a delta update may skip (section 6.2.5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Skip {
    /// `YES`: segments.
    Segments,
    /// `v2`: segments and date ranges.
    SegmentsAndDateranges,
}

impl Directives {
    /// Whether the request is a blocking request (section 6.2.5.2).
    pub const fn blocks(&self) -> bool {
        self.msn.is_some()
    }

    /// The same for the present version of the playlist.
    #[must_use]
    pub const fn unblocked(self) -> Self {
        Self { msn: None, part: None, ..self }
    }

    /// The query parameters of these directives, sorted by their bytes.
    pub(super) fn parameters(&self) -> impl Iterator<Item = String> {
        let skip = self.skip.map(|skip| match skip {
            Skip::Segments => "YES",
            Skip::SegmentsAndDateranges => "v2",
        });
        let number = |name: &'static str, value: Option<u64>| value.map(|value| format!("{name}={value}"));
        let skip = skip.map(|value| format!("{SKIP}={value}"));
        [number(MSN, self.msn), number(PART, self.part), skip].into_iter().flatten()
    }

    /// Whether a query parameter is a delivery directive.
    pub(super) fn is_directive(parameter: &str) -> bool {
        let name = parameter.split_once('=').map_or(parameter, |(name, _)| name);
        matches!(name, MSN | PART | SKIP)
    }

    /// Parses one parameter, which begins at `offset`. Returns its normal form; `None` for other reserved
    /// parameters, which do not count: steering reports (`_HLS_pathway`, `_HLS_throughput`) concern the
    /// client and not the playlist (section 7.2).
    pub(super) fn parse_parameter(
        &mut self,
        name: &str,
        value: &str,
        offset: usize,
    ) -> Result<Option<String>, ResourceError> {
        match name {
            MSN => number(&mut self.msn, MSN, value, offset).map(Some),
            PART => number(&mut self.part, PART, value, offset).map(Some),
            SKIP => self.parse_skip(value, offset),
            _ => Ok(None),
        }
    }

    /// A value from a later version of HLS is dropped: the response is then a full playlist, which is always
    /// right.
    fn parse_skip(&mut self, value: &str, offset: usize) -> Result<Option<String>, ResourceError> {
        let skip = match value {
            "YES" => Skip::Segments,
            "v2" => Skip::SegmentsAndDateranges,
            _ => return Ok(None),
        };
        if self.skip.replace(skip).is_some() {
            return Err(ResourceError::RepeatedDirective { name: SKIP, offset });
        }
        Ok(Some(format!("{SKIP}={value}")))
    }

    /// Section 6.2.5.2: a part belongs to a segment.
    pub(super) const fn check(&self) -> Result<(), ResourceError> {
        if self.part.is_some() && self.msn.is_none() {
            return Err(ResourceError::PartWithoutMsn);
        }
        Ok(())
    }
}

/// Only digits: `u64::from_str` would accept a plus sign. Formatted again, so that `007` and `7` are one.
fn number(
    slot: &mut Option<u64>,
    name: &'static str,
    value: &str,
    offset: usize,
) -> Result<String, ResourceError> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse().ok().filter(|_| digits);
    let number: u64 = number.ok_or(ResourceError::BadNumber { name, offset })?;
    if slot.replace(number).is_some() {
        return Err(ResourceError::RepeatedDirective { name, offset });
    }
    Ok(format!("{name}={number}"))
}

/// All names with this prefix are reserved (section 6.2.5).
pub(super) const RESERVED_PREFIX: &str = "_HLS_";
const MSN: &str = "_HLS_msn";
const PART: &str = "_HLS_part";
const SKIP: &str = "_HLS_skip";
