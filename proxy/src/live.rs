//! What a tier knows of its live streams, and how it fetches the next version of a playlist in time.
//!
//! Each received media playlist is compared with the known versions of its stream (`stream.rs`): a playlist
//! that goes back is not served, and for one that stands still the next upstream receives the request. While
//! viewers watch, a follower fetches one version after the other (`follow.rs`): from a shield by a request
//! that blocks until there is a new version (blocking reload, HLS section 6.2.5.2), and from an origin that
//! cannot block by a poll when the next version is due. The objects that a version announces are fetched
//! before viewers request them (`prefetch.rs`). An encoder restart is joined: the playlist is renumbered so
//! that viewers see one stream (`epochs.rs`). A stream without viewers is remembered for a day, in little
//! memory (`memory.rs`).
//!
//! So a request for a playlist receives the newest version, a request for the next version blocks here until
//! it is there, and however many viewers wait, one task requests the next version.
//!
//! State: [`streams`] is all of it, with the [`followers`] that are at work; [`stream`] is one playlist,
//! with its [`memory`], the [`numbering`] in which it is published, the [`detour`] around an upstream that
//! fails it, and whether its versions are [`unfinished`] or [`sliding`]; [`announced`], [`renditions`],
//! [`leaving`] and [`budget`] are what streams share. No state starts a request.
//!
//! Actions: [`block`] blocks a request until its version is there; [`listing`] remembers what a playlist
//! lists; [`forget`] forgets purged playlists, whose [`purges`] end what is at work; [`epochs`] renumbers the
//! playlist of a restarted encoder; [`publish`] acts on a new version, [`prefetch`] fetches what it
//! announces, [`follow`] fetches the next one.

pub(crate) mod announced;
pub(crate) mod block;
pub(crate) mod budget;
pub(crate) mod detour;
pub(crate) mod epochs;
pub(crate) mod follow;
mod followers;
mod forget;
pub(crate) mod leaving;
pub(crate) mod listing;
pub(crate) mod memory;
pub(crate) mod numbering;
pub(crate) mod prefetch;
pub(crate) mod publish;
mod purges;
mod removed_dateranges;
pub(crate) mod renditions;
pub(crate) mod sliding;
pub(crate) mod stream;
pub(crate) mod streams;
pub(crate) mod unfinished;
