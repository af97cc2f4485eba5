//! The promises of docs and design, end to end, over real sockets: one file per promise.

mod coalescing;
mod cut_through;
mod rescue;
