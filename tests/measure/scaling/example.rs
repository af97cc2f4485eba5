//! The worked example: from an audience to machines, step by step, and the simulation of the result.

use anyhow::Result;

use crate::capacity::{connections_mib, media_mib};
use crate::catalogue::{LADDER, average_mbit, channel_mbit};
use crate::inputs::Inputs;
use crate::network::{Network, ShieldId, Size};
use crate::rounds::Scene;
use crate::text::{count, number, whole};

/// With fewer, the loss of one moves some keys to another region (72 % must be healthy).
const SHIELDS_MIN: f64 = 4.0;

/// The requirements of an audience.
pub(crate) struct Plan<'a> {
    inputs: &'a Inputs,
    /// Mbit/s of the average viewer, and on the network.
    mbit: f64,
    wire_mbit: f64,
    edges_by: [(&'static str, f64); 3],
    edges: f64,
    /// Mbit/s of all renditions together.
    catalogue_mbit: f64,
    shields: f64,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(inputs: &'a Inputs) -> Self {
        let mbit = average_mbit();
        let wire_mbit = inputs.viewer_mbit(mbit, inputs.segment_s);
        let network = inputs.viewers_per_gbit(mbit, inputs.segment_s) * inputs.nic_gbit;
        let cores = inputs.viewers_per_core(mbit, inputs.segment_s) * inputs.cores;
        let connections = inputs.connections_max * inputs.headroom;
        let edges_by = [("network", network), ("cores", cores), ("connections", connections)];
        let of_an_edge = edges_by.iter().map(|(_, viewers)| *viewers).fold(f64::INFINITY, f64::min);
        // The remaining regions must carry all viewers when one is lost.
        let spare = if inputs.regions > 1.0 { inputs.regions / (inputs.regions - 1.0) } else { 1.0 };
        let in_a_region = (inputs.viewers / of_an_edge * spare / inputs.regions).ceil();
        let edges = in_a_region * inputs.regions;
        let catalogue_mbit = inputs.channels * channel_mbit();
        let egress_gbit = in_a_region * catalogue_mbit * inputs.wire / 1000.0 * inputs.imbalance;
        let usual = egress_gbit / (inputs.nic_gbit * inputs.headroom);
        let doubled = if inputs.regions > 1.0 { 2.0 * egress_gbit / inputs.nic_gbit } else { 0.0 };
        let shields = usual.max(doubled).ceil().max(SHIELDS_MIN);
        Self { inputs, mbit, wire_mbit, edges_by, edges, catalogue_mbit, shields }
    }

    /// All steps, as a numbered list.
    pub(crate) async fn steps(&self) -> Result<String> {
        let steps = [
            self.traffic(),
            self.edges(),
            self.edge_memory(),
            self.edge_asks(),
            self.shields(),
            self.shield_load(),
            self.origin(),
            self.simulated().await?,
        ];
        let numbered = steps.iter().zip(1..).map(|(step, number): (_, u32)| format!("{number}. {step}\n"));
        Ok(numbered.collect::<Vec<_>>().concat())
    }

    fn in_a_region(&self) -> f64 {
        self.edges / self.inputs.regions
    }

    fn renditions(&self) -> f64 {
        self.inputs.channels * f64::from(u32::try_from(LADDER.len()).unwrap_or(u32::MAX))
    }

    fn traffic(&self) -> String {
        let rungs = LADDER.map(|(mbit, share)| format!("{mbit} ({:.0} %)", 100.0 * share)).join(", ");
        format!(
            "**Traffic.** The renditions have {rungs} Mbit/s, {:.2} on average; with playlists, heads and packets {:.2} on the wire. \
             {} viewers: {:.2} Tbit/s.",
            self.mbit,
            self.wire_mbit,
            whole(self.inputs.viewers),
            self.inputs.viewers * self.wire_mbit / 1e6
        )
    }

    fn edges(&self) -> String {
        let limits = self.edges_by.map(|(what, viewers)| format!("{what} {}", whole(viewers))).join(", ");
        let least = self.edges_by.iter().map(|(_, viewers)| *viewers).fold(f64::INFINITY, f64::min);
        let spare = if self.inputs.regions > 1.0 {
            format!(
                "; with room for a region's viewers at the others, × {} / {}",
                self.inputs.regions,
                self.inputs.regions - 1.0
            )
        } else {
            String::new()
        };
        format!(
            "**Edges.** Viewers of an edge of {} cores and {} Gbit/s, by what limits it: {limits}. The least counts: {} edges{spare}: \
             **{} edges**, {} in each region.",
            self.inputs.cores,
            self.inputs.nic_gbit,
            whole((self.inputs.viewers / least).ceil()),
            whole(self.edges),
            whole(self.in_a_region())
        )
    }

    /// Viewers of an edge when a region is lost, which is when it has most.
    fn viewers_of_an_edge(&self) -> f64 {
        let left = if self.inputs.regions > 1.0 { self.edges - self.in_a_region() } else { self.edges };
        (self.inputs.viewers / left).ceil()
    }

    fn edge_memory(&self) -> String {
        let connections = connections_mib(self.inputs, self.viewers_of_an_edge());
        let window = media_mib(self.catalogue_mbit, self.inputs.window_s);
        format!(
            "**Memory of an edge.** {} connections at most, all waiting: {} MiB. {} s of {} renditions, {} Mbit/s together: {} MiB. \
             An edge that lets viewers seek back for two hours needs {} GiB in place of that.",
            whole(self.viewers_of_an_edge()),
            whole(connections),
            self.inputs.window_s,
            whole(self.renditions()),
            whole(self.catalogue_mbit),
            whole(window),
            whole(media_mib(self.catalogue_mbit, 7200.0) / 1024.0)
        )
    }

    fn edge_asks(&self) -> String {
        format!(
            "**Requests of an edge.** At most all renditions: {} Mbit/s, and 2 × {} / {} s = {:.0} requests per second, however many viewers it has.",
            whole(self.catalogue_mbit),
            whole(self.renditions()),
            self.inputs.segment_s,
            2.0 * self.renditions() / self.inputs.segment_s
        )
    }

    fn shields(&self) -> String {
        let egress = self.in_a_region() * self.catalogue_mbit * self.inputs.wire / 1000.0;
        let doubled = if self.inputs.regions > 1.0 {
            " With another region's edges on top it may use its network to the full."
        } else {
            ""
        };
        format!(
            "**Shields.** {} edges need {:.1} Gbit/s from their region; the busiest shield has {} times the mean.{doubled} At least {SHIELDS_MIN}, so that \
             the loss of one moves its own keys only: **{} shields in each region**, {} together, one for {:.0} edges.",
            whole(self.in_a_region()),
            egress,
            self.inputs.imbalance,
            whole(self.shields),
            whole(self.shields * self.inputs.regions),
            self.edges / (self.shields * self.inputs.regions)
        )
    }

    fn shield_load(&self) -> String {
        let inputs = self.inputs;
        let each = self.in_a_region() * inputs.channels / self.shields * inputs.imbalance;
        let us: f64 = LADDER.iter().map(|(mbit, _)| inputs.viewer_us(*mbit, inputs.segment_s)).sum();
        format!(
            "**A shield's cores and memory.** To its edges it is what an edge is to viewers: the busiest one needs {:.2} cores, and a part of the {} MiB.",
            each * us / 1e6,
            whole(media_mib(self.catalogue_mbit, inputs.window_s))
        )
    }

    fn origin(&self) -> String {
        let inputs = self.inputs;
        let (renditions, seconds) = (self.renditions(), inputs.segment_s);
        format!(
            "**The origin.** Each region requests each object once: {} × {} segments and {} × {} × {} playlists in {seconds} s are **{:.0} requests per second**, \
             and {} Mbit/s. Without shields, it would get {} requests per second from the edges.",
            inputs.regions,
            whole(renditions),
            inputs.regions,
            whole(renditions),
            number(inputs.polls),
            inputs.regions * renditions * (1.0 + inputs.polls) / seconds,
            whole(inputs.regions * self.catalogue_mbit),
            whole(self.edges * renditions * (1.0 + inputs.polls) / seconds)
        )
    }

    /// The simulation of this plan, with all shields healthy and without its first region's shields.
    async fn simulated(&self) -> Result<String> {
        let size = Size { regions: count(self.inputs.regions), shields: count(self.shields) };
        let viewers = count(self.inputs.viewers / self.edges);
        let scene = Scene::new(count(self.inputs.channels), count(self.edges), viewers);
        let well = scene.round(&Network::new(size)?).await?.tally;
        let gbit = |mbit: f64| mbit * self.inputs.wire / 1000.0;
        let everybody = |_: ShieldId| true;
        let simulated = format!(
            "**Simulated.** {} origin requests for {} objects while a segment lasts, {:.2} for each. The busiest shield sends {:.1} Gbit/s, {:.2} times the mean.",
            well.origin,
            well.objects(),
            well.amplification(),
            gbit(well.traffic(everybody).max),
            well.traffic(everybody).imbalance()
        );
        if size.regions < 2 {
            return Ok(simulated);
        }
        let lost: Vec<ShieldId> = (0..usize::try_from(size.shields)?).collect();
        let hurt = scene.round(&Network::without(size, &lost)?).await?.tally;
        Ok(format!(
            "{simulated} Without the first region's shields: {} origin requests, and {:.1} Gbit/s from the busiest.",
            hurt.origin,
            gbit(hurt.traffic(everybody).max)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remaining_regions_carry_all_viewers_when_one_is_lost() {
        let inputs = Inputs::default();
        let plan = Plan::new(&inputs);
        let least = plan.edges_by.iter().map(|(_, viewers)| *viewers).fold(f64::INFINITY, f64::min);
        assert!(plan.viewers_of_an_edge() <= least, "{} of {least}", plan.viewers_of_an_edge());
        assert!((plan.edges % inputs.regions).abs() < 1e-9);
    }

    #[test]
    fn twice_the_viewers_need_twice_the_edges_and_no_more_origin_requests() {
        let (inputs, more) = (Inputs::default(), Inputs { viewers: 2e6, ..Inputs::default() });
        let (plan, larger) = (Plan::new(&inputs), Plan::new(&more));
        assert!((larger.edges / plan.edges - 2.0).abs() < 0.02);
        let rate = |plan: &Plan<'_>| plan.origin().split("**").nth(3).map(str::to_owned);
        assert!(rate(&plan).is_some_and(|rate| rate.ends_with("requests per second")));
        assert_eq!(rate(&plan), rate(&larger));
    }

    #[test]
    fn the_slowest_part_of_a_machine_limits_its_viewers() {
        let inputs = Inputs { cores: 0.01, ..Inputs::default() };
        assert!(Plan::new(&inputs).edges > 4.0 * Plan::new(&Inputs::default()).edges);
    }
}
