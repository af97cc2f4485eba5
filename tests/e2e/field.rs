//! What real origins, players and crowds do: one file per kind.

mod crowds;
mod messages;
mod raw;
mod silence;
mod slow_passes;
mod smuggling;
mod targets;
