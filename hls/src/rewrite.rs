//! The changes that this node makes to a playlist before it is served. All other bytes stay as they came.

mod delta;
mod epoch;
mod links;
mod mark;
mod offer;
mod segment_state;
mod splice;
mod uris;

pub use delta::{daterange_ids, delta};
pub use epoch::{Epoch, Numbering};
pub use links::{Addition, Links};
pub use mark::Mark;
pub use offer::{Offer, offer};
pub use splice::Splice;
pub use uris::replace_uris;

#[cfg(test)]
mod tests;
