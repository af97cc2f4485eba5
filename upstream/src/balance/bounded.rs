//! Bounded loads: a hash spreads keys evenly, but not requests, because some objects are hotter than others.
//!
//! With consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam) no member has more than (1 +
//! ε) times its share of the requests in flight. A request goes to the first member in the order of its key
//! that is below its bound, so that a hot object spreads over as many of its first owners as it needs, and
//! comes back when it cools down.

/// How uneven the load may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// How far above its share of the requests in flight a member may be: 0.25 lets it have a quarter more.
    ///
    /// Small values even out the load and move many keys; large values leave keys where they are. A value
    /// that is negative or not a number counts as zero.
    pub epsilon: f64,
    /// This many requests in flight are never too many for one member, whatever the others have.
    ///
    /// A key that moves costs the origin a second fetch. Under low load that is worse than an uneven load: of
    /// two requests in flight, one would be more than its share.
    pub floor: usize,
}

/// The load of one member, and its weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Requests in flight.
    pub in_flight: usize,
    /// Its weight in the hash. A member without weight accepts nothing.
    pub weight: f64,
}

impl Bound {
    /// Whether a member that has `in_flight` of the `total_in_flight` requests may have one more.
    ///
    /// `total_weight` is the sum over the members that are counted in `total_in_flight`, this one included.
    /// If that is true for all calls, at least one member fits: the bounds add up to more than the requests
    /// in flight.
    pub fn fits(&self, in_flight: usize, weight: f64, total_in_flight: usize, total_weight: f64) -> bool {
        let share = weight / total_weight;
        // One more than now, because the request to be placed counts as well.
        let total = number(total_in_flight.saturating_add(1));
        let bound = ((1.0 + self.epsilon.max(0.0)) * total * share).ceil();
        share > 0.0 && number(in_flight.saturating_add(1)) <= bound.max(number(self.floor))
    }
}

/// Puts the members of `order` that may take one more request first, in the order of the hash, then the
/// others.
///
/// `order` holds indexes of `loads`. A member that is only in `loads`, such as one that is down, is not
/// counted in the total.
pub fn arrange(mut order: Vec<usize>, loads: &[Load], bound: &Bound) -> Vec<usize> {
    let members = || order.iter().filter_map(|member| loads.get(*member));
    let in_flight = members().map(|load| load.in_flight).fold(0, usize::saturating_add);
    let weight: f64 = members().map(|load| load.weight.max(0.0)).sum();
    let fits = |member: &usize| {
        loads.get(*member).is_some_and(|load| bound.fits(load.in_flight, load.weight, in_flight, weight))
    };
    // A stable sort: the hash's order stays among the members that fit, and among the others.
    order.sort_by_key(|member| !fits(member));
    order
}

/// Exact for all counts that occur: no member has four billion requests in flight.
fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
