//! What this node changes in a playlist before it goes out. All else stays as it came, byte for byte.

mod attributes;
mod delta;
mod joint;
mod lines;
mod mark;
mod offer;
mod run;
mod state;

pub use delta::delta;
pub use joint::Joint;
pub use mark::Mark;
pub use offer::{Offer, offer};
pub use run::{Numbering, Run};

#[cfg(test)]
mod tests;
