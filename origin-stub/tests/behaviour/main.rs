//! The behaviour of the origin stub, over real sockets, judged by the bytes on the network.

#[cfg(test)]
mod admin;
#[cfg(test)]
mod clock;
#[cfg(test)]
mod down;
#[cfg(test)]
mod h2;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod http;
#[cfg(test)]
mod ingest;
#[cfg(test)]
mod life;
#[cfg(test)]
mod low_latency;
#[cfg(test)]
mod wrong;
