//! Real encoders and packagers on one side, real players on the other, Tidegate between them.
//!
//! Three ways in which people make HLS, each run for half a minute: ffmpeg writing files that nginx
//! serves, ffmpeg publishing RTMP to nginx, which makes the HLS, and ffmpeg pushing HLS by PUT. On the
//! other side Chromium with hls.js, ffmpeg as a player, and twenty small players of our own, spread
//! over two edges. The viewers must have nothing to complain of, and the origin must have been asked
//! for each segment once (`scenarios.rs`).
//!
//! Then what the stub can do that they cannot: a minute of low latency, beside a browser that plays
//! directly from such an origin (`low_latency.rs`), and origins that die, freeze, lag or count anew
//! while a browser watches (`drills.rs`). And whatever else ffmpeg makes of HLS (`flavours.rs`).
//!
//! One scenario runs at a time: what is measured here is real time, and a small machine has only so much.

#[cfg(test)]
mod audience;
#[cfg(test)]
mod blocking_player;
#[cfg(test)]
mod drills;
#[cfg(test)]
mod encoder;
#[cfg(test)]
mod ffmpeg;
#[cfg(test)]
mod flavours;
#[cfg(test)]
mod low_latency;
#[cfg(test)]
mod nginx;
#[cfg(test)]
mod player;
#[cfg(test)]
mod process;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod stub;
#[cfg(test)]
mod tiers;
