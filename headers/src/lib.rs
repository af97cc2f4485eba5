//! The rules of HTTP header fields for a caching tier: pure functions over header maps.
//!
//! Nothing here has a socket, a clock, a configuration or a cache. A function gets the fields of a request or
//! of a stored response and returns the result. Each module is one field or one family of fields:
//!
//! - [`field`]: reading and writing lists, dates and quoted strings, the base of the others
//! - [`hop`]: which fields cross a hop, and the marks `Via` and `CDN-Loop`
//! - [`forwarding`]: which fields of viewers reach an upstream with a shared request
//! - [`conditional`]: preconditions of viewers, and the revalidation of a stored response upstream
//! - [`range`]: `Range`, `If-Range`, `Content-Range`, `multipart/byteranges`
//! - [`vary`]: which request fields select a stored response
//! - [`cors`]: the fields that let a player on another web site read a response
//! - [`coding`]: `Content-Encoding`, and the viewers that accept it
//! - [`compress`]: gzip for playlists, and its changes to the head
//! - [`cache_tags`]: the tags by which an origin groups its responses
//! - [`cmcd`]: what players report about themselves
//! - [`cache_status`], [`proxy_status`], [`server_timing`]: how a tier handled a request
//!
//! Begin with [`field`]; the others can be read in any order.

pub mod cache_control;
pub mod cache_status;
pub mod cache_tags;
pub mod cmcd;
pub mod coding;
pub mod compress;
pub mod conditional;
pub mod cors;
pub mod field;
pub mod forwarding;
pub mod hop;
pub mod proxy_status;
pub mod range;
pub mod server_timing;
mod token;
pub mod vary;
