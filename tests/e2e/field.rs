//! What real origins, players and crowds do: one file per kind.

mod cold_reload;
mod corpus;
mod deltas;
mod empty;
mod feed;
mod followers;
mod playlists;
mod sharing;
mod told_lifetimes;
mod torn;
mod unnamed;
mod versions;
