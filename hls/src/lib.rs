//! What is being asked for, and what a playlist says about it.
//!
//! Everything in this crate is a pure function: no sockets, no clock, no configuration files. The tiers hand
//! in bytes and numbers and get values back.
//!
//! - [`Resource`] is a request target, parsed once. It is the identity of an object: two spellings of one
//!   target give one `Resource`, and what could mean two things gives a [`ResourceError`]. After
//!   [`Resource::parse`] nobody looks at a path string again.
//! - [`Playlist`] is an HLS playlist, parsed once, when it arrives: the multivariant playlist with its
//!   renditions, or a media playlist with its target duration, its segments and their numbers.
//! - [`Lifetimes`] says how long an answer may be reused, from what HLS itself promises about it.
//!
//! Section numbers are those of draft-pantos-hls-rfc8216bis unless an RFC is named. This crate does not know
//! HTTP freshness (that is `tidegate_cache::freshness`) and never rewrites a playlist.
//!
//! Begin reading in `resource.rs`, then `playlist.rs`, then `lifetimes.rs`.

mod kind;
mod lifetimes;
mod playlist;
mod resource;

pub use kind::Kind;
pub use lifetimes::Lifetimes;
pub use playlist::{Media, Multivariant, Playlist, PlaylistError, PlaylistType, Segment};
pub use resource::{
    Directives, Pattern, PatternError, QueryDefault, QueryRules, Resource, ResourceError, Skip,
};
