//! The query in its one spelling: the parameters that count, in order.

use std::borrow::Cow;

use super::directives::{Directives, RESERVED_PREFIX};
use super::escape::{self, Component};
use super::{QueryRules, ResourceError};
use crate::{Kind, Mark};

/// A parsed query.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) canonical: Option<String>,
    /// The parameters that count as they were sent, and the empty ones between them. `None` when none is
    /// left.
    pub(super) sent: Option<String>,
    pub(super) directives: Directives,
    pub(super) cmcd: Option<String>,
    /// Whether the next mark counts; at most one does.
    accepts_mark: bool,
}

/// Parses the text after the question mark, which begins at byte `base` of the target.
pub(super) fn parse(raw: &str, base: usize, kind: Kind, rules: &QueryRules) -> Result<Query, ResourceError> {
    check_len(raw.len(), rules)?;
    // A playlist continues from epoch to epoch, and has no mark.
    let mut query = Query { accepts_mark: rules.marks && kind != Kind::Playlist, ..Query::default() };
    let mut params: Vec<Param<'_>> = Vec::new();
    let mut sent: Vec<&str> = Vec::new();
    let mut offset = base;
    for (index, text) in raw.split('&').enumerate() {
        if index >= rules.params_max {
            return Err(ResourceError::TooManyParams { max: rules.params_max });
        }
        let counts = if text.is_empty() {
            true
        } else {
            let param = Param(escape::normalise(text, offset, Component::Query)?);
            let admitted = query.admit(param, text, offset, rules)?;
            let counts = admitted.is_some();
            params.extend(admitted);
            counts
        };
        if counts {
            sent.push(text);
        }
        offset += text.len() + 1;
    }
    query.directives.check()?;
    if rules.sort {
        // Stable: `a=2&a=1` may mean something else than `a=1&a=2`.
        params.sort_by(|a, b| a.name().cmp(b.name()));
    }
    query.canonical = join(&params);
    query.sent = (!sent.is_empty()).then(|| sent.join("&"));
    check_len(query.canonical.as_ref().map_or(0, String::len), rules)?;
    Ok(query)
}

impl Query {
    /// Returns a parameter if it counts, and records directives and CMCD.
    fn admit<'a>(
        &mut self,
        param: Param<'a>,
        raw: &str,
        offset: usize,
        rules: &QueryRules,
    ) -> Result<Option<Param<'a>>, ResourceError> {
        let name = param.name();
        if name.starts_with(RESERVED_PREFIX) {
            let rendered = self.directives.parse_parameter(name, param.value(), offset)?;
            return Ok(rendered.map(|text| Param(Cow::Owned(text))));
        }
        if name == CMCD {
            self.cmcd = Some(raw.split_once('=').map_or("", |(_, value)| value).to_owned());
            return Ok(Some(param).filter(|_| rules.keeps_exactly(CMCD)));
        }
        if name == Mark::NAME {
            let is_accepted = std::mem::take(&mut self.accepts_mark);
            return Ok(Some(param).filter(|param| is_accepted && Mark::parse(param.value()).is_some()));
        }
        let keeps = rules.keeps(name);
        Ok(Some(param).filter(|_| keeps))
    }
}

/// One parameter in its normal form, `name` or `name=value`.
struct Param<'a>(Cow<'a, str>);

impl Param<'_> {
    fn name(&self) -> &str {
        self.0.split_once('=').map_or(&*self.0, |(name, _)| name)
    }

    fn value(&self) -> &str {
        self.0.split_once('=').map_or("", |(_, value)| value)
    }
}

fn join(params: &[Param<'_>]) -> Option<String> {
    let (first, rest) = params.split_first()?;
    let len = params.iter().map(|param| param.0.len() + 1).sum();
    let mut query = String::with_capacity(len);
    query.push_str(&first.0);
    for param in rest {
        query.push('&');
        query.push_str(&param.0);
    }
    Some(query)
}

fn check_len(len: usize, rules: &QueryRules) -> Result<(), ResourceError> {
    let max = rules.query_bytes_max;
    if len > max { Err(ResourceError::QueryTooLong { len, max }) } else { Ok(()) }
}

/// Common Media Client Data (CTA-5004): a report about the player, different in every request.
const CMCD: &str = "CMCD";
