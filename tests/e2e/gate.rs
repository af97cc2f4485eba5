//! What makes an edge fit for the open internet: one file per kind.

mod tls_certificates;
mod tls_https;
mod tls_tickets;
