//! The engine's promises, one file per topic: which request may fill a key, what readers receive, what is
//! stored, what it weighs.
//!
//! Time is paused wherever it matters, so a test that spans hours takes no time and no test waits by
//! sleeping. `interleavings.rs` plays random orders of events against a small model; `stress.rs` and
//! `races.rs` use real threads.

#[cfg(test)]
mod abandon;
#[cfg(test)]
mod bounds;
#[cfg(test)]
mod broken;
#[cfg(test)]
mod budget;
#[cfg(test)]
mod early;
#[cfg(test)]
mod failure;
#[cfg(test)]
mod growth;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod one_fill;
#[cfg(test)]
mod pass;
#[cfg(test)]
mod purge;
#[cfg(test)]
mod races;
#[cfg(test)]
mod relocate;
#[cfg(test)]
mod renew;
#[cfg(test)]
mod stale_while_revalidate;
#[cfg(test)]
mod stress;
#[cfg(test)]
mod vary;
