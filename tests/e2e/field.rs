//! What real origins, players and crowds do: one file per kind.

mod codings;
mod cold_reload;
mod corpus;
mod crowds;
mod day;
mod deltas;
mod empty;
mod feed;
mod followers;
pub(crate) mod frames;
mod hang_ups;
mod messages;
mod playlists;
mod ranges;
mod raw;
mod redirects;
mod scripted;
mod sharing;
mod silence;
mod slow_passes;
mod smuggling;
mod targets;
mod told_lifetimes;
mod torn;
mod trouble;
mod unnamed;
mod versions;
