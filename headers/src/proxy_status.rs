//! `Proxy-Status` (RFC 9209): the error behind a response that this node generated, and the next hop that
//! caused it.

use std::fmt::{self, Display};

use http::header::HeaderName;
use http::{HeaderMap, StatusCode};

use crate::field;
use crate::token::tokens;

/// The field of RFC 9209.
pub static PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

tokens! {
    /// The error types of RFC 9209 section 2.3 that a caching tier can meet.
    Error {
        /// Section 2.3.1: the name server did not respond in time.
        DnsTimeout = "dns_timeout",
        /// Section 2.3.2: the name server responded with an error.
        DnsError = "dns_error",
        /// Section 2.3.3: no next hop is configured for this request.
        DestinationNotFound = "destination_not_found",
        /// Section 2.3.4: every next hop is considered down.
        DestinationUnavailable = "destination_unavailable",
        /// Section 2.3.5: the configuration forbids this address.
        DestinationIpProhibited = "destination_ip_prohibited",
        /// Section 2.3.6: no route leads to this address.
        DestinationIpUnroutable = "destination_ip_unroutable",
        /// Section 2.3.7: the next hop refused the connection.
        ConnectionRefused = "connection_refused",
        /// Section 2.3.8: the connection ended before the response was complete.
        ConnectionTerminated = "connection_terminated",
        /// Section 2.3.9: connecting took too long.
        ConnectionTimeout = "connection_timeout",
        /// Section 2.3.10: nothing arrived for too long.
        ConnectionReadTimeout = "connection_read_timeout",
        /// Section 2.3.11: nothing could be sent for too long.
        ConnectionWriteTimeout = "connection_write_timeout",
        /// Section 2.3.12: the limit of connections to the next hop is reached.
        ConnectionLimitReached = "connection_limit_reached",
        /// Section 2.3.13: the TLS handshake or record layer failed.
        TlsProtocolError = "tls_protocol_error",
        /// Section 2.3.14: the certificate is not trusted.
        TlsCertificateError = "tls_certificate_error",
        /// Section 2.3.15: the next hop sent a TLS alert.
        TlsAlertReceived = "tls_alert_received",
        /// Section 2.3.16: the viewer's request is invalid.
        HttpRequestError = "http_request_error",
        /// Section 2.3.17: policy denies the request.
        HttpRequestDenied = "http_request_denied",
        /// Section 2.3.18: the response ended too early.
        HttpResponseIncomplete = "http_response_incomplete",
        /// Section 2.3.19: the response's header section is too large.
        HttpResponseHeaderSectionSize = "http_response_header_section_size",
        /// Section 2.3.20: one header of the response is too large.
        HttpResponseHeaderSize = "http_response_header_size",
        /// Section 2.3.21: the body is larger than the limit.
        HttpResponseBodySize = "http_response_body_size",
        /// Section 2.3.24: the transfer coding cannot be decoded.
        HttpResponseTransferCoding = "http_response_transfer_coding",
        /// Section 2.3.25: the content coding cannot be decoded.
        HttpResponseContentCoding = "http_response_content_coding",
        /// Section 2.3.26: the whole response took too long.
        HttpResponseTimeout = "http_response_timeout",
        /// Section 2.3.27: the protocol upgrade failed.
        HttpUpgradeFailed = "http_upgrade_failed",
        /// Section 2.3.28: the next hop violates HTTP.
        HttpProtocolError = "http_protocol_error",
        /// Section 2.3.29: the node generated the response intentionally.
        ProxyInternalResponse = "proxy_internal_response",
        /// Section 2.3.30: the node itself failed.
        ProxyInternalError = "proxy_internal_error",
        /// Section 2.3.31: the node's configuration is wrong.
        ProxyConfigurationError = "proxy_configuration_error",
        /// Section 2.3.32: the request reached a node that it had passed before.
        ProxyLoopDetected = "proxy_loop_detected",
    }
}

impl Error {
    /// The status of the response to a viewer: the recommendation of RFC 9209, except that a loop is 508 (RFC
    /// 5842 section 7.2), which has no other cause.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::DnsTimeout
            | Self::ConnectionTimeout
            | Self::ConnectionReadTimeout
            | Self::ConnectionWriteTimeout
            | Self::HttpResponseTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::DestinationNotFound | Self::ProxyInternalError | Self::ProxyConfigurationError => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::DestinationUnavailable | Self::ConnectionLimitReached | Self::ProxyInternalResponse => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::HttpRequestError => StatusCode::BAD_REQUEST,
            Self::HttpRequestDenied => StatusCode::FORBIDDEN,
            Self::ProxyLoopDetected => StatusCode::LOOP_DETECTED,
            Self::DnsError
            | Self::DestinationIpProhibited
            | Self::DestinationIpUnroutable
            | Self::ConnectionRefused
            | Self::ConnectionTerminated
            | Self::TlsProtocolError
            | Self::TlsCertificateError
            | Self::TlsAlertReceived
            | Self::HttpResponseIncomplete
            | Self::HttpResponseHeaderSectionSize
            | Self::HttpResponseHeaderSize
            | Self::HttpResponseBodySize
            | Self::HttpResponseTransferCoding
            | Self::HttpResponseContentCoding
            | Self::HttpUpgradeFailed
            | Self::HttpProtocolError => StatusCode::BAD_GATEWAY,
        }
    }
}

/// One node's member of the `Proxy-Status` list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// The node's name.
    pub node: &'a str,
    /// The error (section 2.1.1).
    pub error: Option<Error>,
    /// The upstream that received the request (section 2.1.2), by its address in the configuration. Viewers
    /// can read it.
    pub next_hop: Option<&'a str>,
    /// The status of the next hop's response, when this node sends another one (section 2.1.4).
    pub received_status: Option<u16>,
    /// Details for people (section 2.1.5).
    pub details: Option<&'a str>,
}

impl Display for Member<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        field::Name(self.node).fmt(out)?;
        if let Some(error) = self.error {
            write!(out, "; error={error}")?;
        }
        if let Some(next_hop) = self.next_hop {
            write!(out, "; next-hop={}", field::Name(next_hop))?;
        }
        if let Some(status) = self.received_status {
            write!(out, "; received-status={status}")?;
        }
        if let Some(details) = self.details {
            write!(out, "; details={}", field::Quoted(details))?;
        }
        Ok(())
    }
}

/// Appends this node's member after those of the nodes nearer the origin (RFC 9209 section 2).
pub fn append(headers: &mut HeaderMap, member: &Member<'_>) {
    field::append_member(headers, &PROXY_STATUS, member);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_has_error_hop_status_and_details() {
        let member = Member {
            node: "shield-1",
            error: Some(Error::ConnectionTimeout),
            next_hop: Some("primary"),
            received_status: Some(503),
            details: Some("2 candidates tried"),
        };
        let text = "shield-1; error=connection_timeout; next-hop=primary; received-status=503; \
                    details=\"2 candidates tried\"";
        assert_eq!(member.to_string(), text);
    }

    #[test]
    fn every_error_has_an_error_status_and_a_token() {
        for error in Error::ALL {
            assert!(error.status().is_client_error() || error.status().is_server_error(), "{error}");
            assert_eq!(field::Name(error.as_str()).to_string(), error.as_str());
        }
    }

    #[test]
    fn a_second_node_appends_after_the_first() {
        let mut headers = HeaderMap::new();
        let member =
            |node| Member { node, error: None, next_hop: None, received_status: None, details: None };
        append(&mut headers, &member("shield-1"));
        append(&mut headers, &member("edge-1"));
        assert_eq!(headers[&PROXY_STATUS], "shield-1, edge-1");
    }
}
