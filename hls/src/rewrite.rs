//! What this node changes in a playlist before it goes out. All else stays as it came, byte for byte.

mod attributes;
mod delta;
mod epoch;
mod lines;
mod mark;
mod offer;
mod segment_state;
mod splice;

pub use delta::delta;
pub use epoch::{Epoch, Numbering};
pub use mark::Mark;
pub use offer::{Offer, offer};
pub use splice::Splice;

#[cfg(test)]
mod tests;
