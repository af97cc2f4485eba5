//! The descriptor limit of the process, compared at the start with what the configuration allows.
//!
//! Without descriptors a tier can neither accept a viewer nor connect to an upstream. Viewers come in any
//! number; so they get what the upstreams leave.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors for everything else: listeners, logs, operators, timers.
const RESERVE: u64 = 64;

/// Descriptors that the configuration may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// Connections from viewers.
    pub(crate) viewers: usize,
    /// Connections to upstreams.
    pub(crate) upstreams: usize,
    /// Copies of bodies for sendfile.
    pub(crate) copies: usize,
}

/// How many connections viewers may open. Raises the soft limit of the process as far as it must and may.
pub(crate) fn viewers_max(wanted: Wanted) -> usize {
    let needed = wanted.needed();
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return wanted.viewers };
    let raised = needed.min(hard);
    let limit =
        if raised > soft && setrlimit(Resource::RLIMIT_NOFILE, raised, hard).is_ok() { raised } else { soft };
    let viewers = wanted.viewers_within(limit);
    if viewers < wanted.viewers {
        tracing::warn!(
            limit,
            needed,
            connections_max = wanted.viewers,
            viewers,
            "the descriptor limit (ulimit -n) is too low for the configuration: fewer viewers may connect"
        );
    }
    viewers
}

impl Wanted {
    fn others(self) -> u64 {
        (self.upstreams as u64).saturating_add(self.copies as u64).saturating_add(RESERVE)
    }

    fn needed(self) -> u64 {
        self.others().saturating_add(self.viewers as u64)
    }

    /// The viewers within a limit: what the others leave, but at least half of it.
    fn viewers_within(self, limit: u64) -> usize {
        let left = limit.saturating_sub(self.others()).max(limit / 2);
        usize::try_from(left).unwrap_or(usize::MAX).min(self.viewers).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewers_get_what_upstreams_leave() {
        let wanted = Wanted { viewers: 20_000, upstreams: 1024, copies: 0 };
        for (limit, viewers) in
            [(1 << 20, 20_000), (21_088, 20_000), (20_000, 18_912), (1024, 512), (64, 32), (0, 1)]
        {
            assert_eq!(wanted.viewers_within(limit), viewers, "{limit}");
        }
    }
}
