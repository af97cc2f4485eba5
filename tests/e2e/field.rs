//! What real origins, players and crowds do: one file per kind.

mod sharing;
