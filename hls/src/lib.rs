//! Request targets and playlists: what a request names, and what a playlist says about it.
//!
//! Everything in this crate is a pure function: no sockets, no clock, no configuration files. The tiers pass
//! in bytes and numbers and get values back.
//!
//! - [`Resource`] is a request target, parsed once. It is the identity of an object: two spellings of one
//!   target give one `Resource`, and an ambiguous target gives a [`ResourceError`]. After [`Resource::parse`]
//!   no code looks at a path string again.
//! - [`Playlist`] is an HLS playlist, read once, when it arrives: the multivariant playlist with its
//!   renditions, or a media playlist with its target duration, its segments and their numbers. It is read as
//!   players read it: what cannot be understood is ignored.
//! - [`Timeline`] follows a media playlist from version to version: whether it moves, goes back or has
//!   restarted, when the next version is due, what it announces.
//! - [`Media::reload`] decides how a blocking request is answered.
//! - [`Links`] are the places where a playlist names its own site.
//! - [`delta`], [`offer`] and [`Epoch`] make the changes that a node makes to a playlist; all other bytes
//!   stay.
//! - [`Lifetimes`] says how long a response may be reused, from what HLS guarantees about it.
//!
//! Section numbers are those of draft-pantos-hls-rfc8216bis unless an RFC is named. This crate does not know
//! HTTP freshness (that is `tidegate_cache::freshness`).
//!
//! Begin reading in `resource.rs`, then `playlist.rs`, `timeline.rs`, `reload.rs`, `rewrite.rs`,
//! `lifetimes.rs`.
//!
//! All crates: [`tidegate`](../tidegate/index.html).

mod attributes;
mod kind;
mod lifetimes;
mod lines;
mod location;
mod playlist;
mod reference;
mod reload;
mod resource;
mod rewrite;
mod timeline;

pub use kind::Kind;
pub use lifetimes::Lifetimes;
pub use location::{Location, folder};
pub use playlist::{
    Beginning, ByteRange, Counting, Hint, HintKind, Map, Media, Multivariant, Part, Playlist, PlaylistError,
    PlaylistType, Position, Reader, Report, Segment, ServerControl,
};
pub use reload::{Reload, ReloadError};
pub use resource::{
    Directives, Pattern, PatternError, QueryDefault, QueryRules, Resource, ResourceError, Skip, without_mark,
};
pub use rewrite::{
    Addition, Epoch, Links, Mark, Numbering, Offer, Splice, daterange_ids, delta, offer, replace_uris,
};
pub use timeline::{
    Announcement, AnnouncementKind, LAG_TARGETS_MAX, RESET_SEGMENTS_MIN, Restart, Step, Timeline,
};
