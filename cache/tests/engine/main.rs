//! The engine's promises, one file per story: who may fill a key, who reads what, what is stored, what it weighs.
//!
//! Time is paused wherever it matters, so a story that spans hours takes no time and nothing waits by sleeping.
//! `interleavings.rs` plays random orders of events against a small model; `stress.rs` and `races.rs` do
//! it with real threads.

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
mod grace;
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
mod renew;
#[cfg(test)]
mod stress;
#[cfg(test)]
mod vary;
