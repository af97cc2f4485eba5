//! What real origins, players and crowds do: one file per kind.

mod corpus;
mod empty;
mod feed;
mod playlists;
mod sharing;
mod torn;
mod unnamed;
