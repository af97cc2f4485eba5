//! What this node changes in a playlist before it goes out. All else stays as it came, byte for byte.

mod attributes;
mod delta;
mod splice;
mod lines;
mod mark;
mod offer;
mod epoch;
mod state;

pub use delta::delta;
pub use splice::Splice;
pub use mark::Mark;
pub use offer::{Offer, offer};
pub use epoch::{Numbering, Epoch};

#[cfg(test)]
mod tests;
