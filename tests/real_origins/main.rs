//! Real encoders and packagers on one side, real players on the other, Tidegate between them.
//!
//! Three usual ways to make HLS, each run for half a minute: ffmpeg writes files that nginx serves, ffmpeg
//! publishes RTMP to nginx, which makes the HLS, and ffmpeg pushes HLS by PUT. On the other side are Chromium
//! with hls.js, ffmpeg as a player, and twenty small players, spread over two edges. No viewer may report an
//! error, and each segment must be requested from the origin once (`scenarios.rs`).
//!
//! Beyond these, the stub provides a minute of low latency, beside a browser that plays directly from such an
//! origin (`low_latency.rs`), and origins that die, freeze, lag or restart their numbering while a browser
//! watches (`drills.rs`). The other HLS flavours of ffmpeg are in `flavours.rs`. hls.js and ffmpeg judge odd
//! playlists in `oddities.rs`, and play private streams in `tokens.rs`; so does `WebKit`'s own player
//! in `webkit.rs`.
//!
//! One scenario runs at a time: scenarios measure real time, and a small machine can run only one.

#[cfg(test)]
mod audience;
#[cfg(test)]
mod blocking_player;
#[cfg(test)]
#[path = "../e2e/field/corpus.rs"]
#[expect(dead_code, reason = "the tests of odd playlists use more of it")]
mod corpus;
#[cfg(test)]
mod drills;
#[cfg(test)]
mod encoder;
#[cfg(test)]
#[path = "../e2e/field/feed.rs"]
#[expect(dead_code, reason = "the tests of odd playlists use more of it")]
mod feed;
#[cfg(test)]
mod ffmpeg;
#[cfg(test)]
mod flavours;
#[cfg(test)]
mod low_latency;
#[cfg(test)]
mod nginx;
#[cfg(test)]
mod oddities;
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
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod webkit;
