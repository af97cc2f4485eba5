//! What real origins, players and crowds do: one file per kind.

mod codings;
mod cold_reload;
mod corpus;
mod deltas;
mod empty;
mod feed;
mod followers;
mod hang_ups;
mod playlists;
mod ranges;
mod redirects;
mod scripted;
mod sharing;
mod told_lifetimes;
mod torn;
mod trouble;
mod unnamed;
mod versions;
