//! HTTP/1.1 as bytes: one codec for both directions, for viewers and for upstreams.
//!
//! Everything here is a pure function of bytes: no sockets, no clock, no configuration files. The caller
//! reads and writes; this crate decides what the bytes mean.
//!
//! - [`HeadFinder`] finds the end of a head while its bytes arrive, and looks at each byte once.
//! - [`RequestHead`] and [`ResponseHead`] are heads that are parsed once and borrowed from the buffer: they
//!   allocate nothing. [`RequestHead::to_owned`] and [`ResponseHead::to_owned`] turn them into header maps
//!   whose values share one buffer.
//! - [`Framing`] says where a body ends (RFC 9112 section 6). This is the only place that decides it.
//! - [`Decoder`] takes a chunked body apart as it arrives, [`Encoder`] frames a body that leaves.
//! - [`lines`] writes start lines, field lines, numbers and dates, in one spelling.
//! - [`Error`] is every fault of a message; [`Error::status`] is the status for the client.
//!
//! A message that two parsers could read in two ways is refused, because a cache shares what it reads with
//! many viewers. Decision 18 lists the choices. Requests that are valid and unwanted (a method, a second
//! `Host`, a target in absolute form) are reported, and the tiers decide.
//!
//! Begin reading in `request.rs`, then `framing.rs`, then `chunks.rs`.

mod chunks;
mod encoder;
mod error;
mod fields;
mod find;
mod framing;
mod limits;
pub mod lines;
mod request;
mod response;
mod syntax;

pub use chunks::{Decoder, LINE_BYTES_MAX, Part, TRAILERS_BYTES_MAX};
pub use encoder::{Encoder, Framed, SizeLine};
pub use error::Error;
pub use fields::{Fields, Room};
pub use find::HeadFinder;
pub use framing::{Framing, content_length, persists};
pub use limits::{EMPTY_LINES_MAX, FIELDS_MAX, HEAD_BYTES_MAX, Limits};
pub use request::{Form, Host, Request, RequestHead};
pub use response::{Response, ResponseHead};
pub use syntax::{is_plain, is_target};
