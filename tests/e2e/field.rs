//! What real origins, players and crowds do: one file per kind.

mod cold_reload;
mod deltas;
mod followers;
mod told_lifetimes;
mod versions;
