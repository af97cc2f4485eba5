//! Who may watch: tokens, client addresses and lists of them.
//!
//! Pure functions: nothing here has a socket or a clock, and no file is opened. A caller passes bytes, an
//! address or the time, and gets a decision with its reason.
//!
//! - [`address`] is a client's address, as logs, limits and lists use it
//! - [`proxy_header`] reads the PROXY protocol, [`forwarded`] the header fields by which proxies name a
//!   client
//! - [`cidr`] is networks and sets of them
//! - [`rules`] decides by address, country, `Referer` and `Origin`
//! - [`bucket`] is a rate with a burst
//! - [`token`] is the proof that a viewer may watch: its format, its signature, and what it grants

pub mod address;
pub mod bucket;
pub mod cidr;
pub mod forwarded;
pub mod proxy_header;
pub mod rules;
pub mod token;

pub use address::ClientAddress;
pub use bucket::{Bucket, Rate};
pub use cidr::{Cidr, CidrSet};
pub use rules::{Country, Denial, Rules};
