//! What real origins, players and crowds do: one file per kind.

mod codings;
mod hang_ups;
mod ranges;
mod redirects;
mod scripted;
mod sharing;
mod trouble;
