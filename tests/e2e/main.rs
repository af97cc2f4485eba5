//! Tidegate's promises, end to end, over real sockets: one file per promise.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "helpers of tests assert, too, and tasks of a test end with it"
)]

mod abandon;
mod announced;
mod bad_input;
mod bad_responses;
mod cli;
mod cluster;
mod coalescing;
mod conditional;
mod cut_through;
mod dns;
mod drain;
mod examples;
mod field;
mod freshness;
mod gate;
mod gzip;
mod http2;
mod http2_upstream;
mod live;
mod live_edge;
mod low_latency;
mod memory;
mod methods;
mod never_back;
mod offer;
mod operators;
mod outcomes;
mod private;
mod query;
mod range;
mod request_paths;
mod rescue;
mod restarts;
mod slices;
mod tier_fields;
mod tls;
mod tls_records;
mod upstreams;
mod vary;
