//! What a tier knows of the live streams that it serves, and how it comes by the next version in time.
//!
//! Every media playlist that comes in is held against what is known of it (`stream.rs`): one that goes back is not
//! given out, one that stands still is asked for elsewhere. As long as somebody watches, a follower brings one version
//! after the other (`follow.rs`): between tiers by a request that is held until there is something new (blocking
//! reload, section 6.2.5.2), and from an origin that cannot hold requests by polling it when the next version is
//! due. What a version announces is fetched before anybody asks for it (`prefetch.rs`). An encoder that begins anew is
//! told on in the numbers that viewers know (`runs.rs`). A stream that nobody watches any more is known for a day, in
//! little memory (`memory.rs`).
//!
//! So a viewer who asks for a playlist gets the newest version there is, one who asks for what comes next waits for
//! it here, and the origin sees one request for each version.

//!
//! State: [`streams`] is all of it; [`stream`] is one playlist, with its [`memory`], the [`numbering`] in which it is
//! published and the [`detour`] around an upstream that fails it; [`announced`], [`renditions`] and [`budget`] are what
//! streams share. Nothing of that starts a request.
//!
//! Actions: [`hold`] blocks a request until its version is there; [`listing`] remembers what a playlist lists;
//! [`epochs`] renumbers the playlist of a restarted encoder; [`publish`] acts on a new version, [`prefetch`] fetches
//! what it announces, [`follow`] brings the next one.

pub(crate) mod announced;
pub(crate) mod budget;
pub(crate) mod detour;
pub(crate) mod epochs;
pub(crate) mod follow;
pub(crate) mod hold;
pub(crate) mod listing;
pub(crate) mod memory;
pub(crate) mod numbering;
pub(crate) mod prefetch;
pub(crate) mod publish;
pub(crate) mod renditions;
pub(crate) mod stream;
pub(crate) mod streams;
