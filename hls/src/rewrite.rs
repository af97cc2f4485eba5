//! What this node changes in a playlist before it goes out. All else stays as it came, byte for byte.

mod attributes;
mod delta;
mod lines;
mod offer;

pub use delta::delta;
pub use offer::{Offer, offer};

#[cfg(test)]
mod tests;
