//! Requests to servers that are no upstreams, such as a certificate authority or a webhook: few, and each on
//! a connection of its own.

use std::error::Error as StdError;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Body;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use pingora_core::tls::load_native_certs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tidegate_upstream::pem;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

pub(crate) type AnyError = Box<dyn StdError + Send + Sync>;

/// A client that trusts the system's authorities, or those in a file.
#[derive(Clone)]
pub(crate) struct Client(TlsConnector);

/// The largest response that is read, in bytes.
const RESPONSE_MAX: usize = 1 << 20;

impl Client {
    /// A client that trusts the authorities in a PEM file; without one, those of the system. It reads files.
    ///
    /// # Errors
    /// When the authorities cannot be read.
    pub(crate) fn new(ca: Option<&str>) -> Result<Self, AnyError> {
        let roots = if let Some(file) = ca {
            pem::authorities("ca", file)?
        } else {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(load_native_certs()?);
            roots
        };
        let builder =
            ClientConfig::builder_with_provider(pem::provider()).with_safe_default_protocol_versions()?;
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Sends a request to the host of its absolute URL, with TLS if the URL says so, and reads the response.
    ///
    /// # Errors
    /// When there is no response within `limit`, or it is too large.
    pub(crate) async fn send<B>(
        &self,
        request: Request<B>,
        limit: Duration,
    ) -> Result<Response<Full<Bytes>>, AnyError>
    where
        B: Body<Data: Send, Error: Into<AnyError>> + Send + 'static,
    {
        let exchanged = timeout(limit, Box::pin(self.exchange(request))).await;
        exchanged.unwrap_or_else(|_elapsed| Err("no response in time".into()))
    }

    async fn exchange<B>(&self, request: Request<B>) -> Result<Response<Full<Bytes>>, AnyError>
    where
        B: Body<Data: Send, Error: Into<AnyError>> + Send + 'static,
    {
        let (mut head, body) = request.into_parts();
        let authority = head.uri.authority().cloned().ok_or("the URL has no host")?;
        let is_tls = match head.uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("the URL does not begin with https:// or http://".into()),
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let stream = TcpStream::connect((host, port)).await?;
        head.headers.insert(header::HOST, HeaderValue::from_str(authority.as_str())?);
        head.uri = Uri::try_from(head.uri.path_and_query().map_or("/", |path| path.as_str()))?;
        let request = Request::from_parts(head, body);
        if is_tls {
            let stream = self.0.connect(ServerName::try_from(host.to_owned())?, stream).await?;
            exchange_over(stream, request).await
        } else {
            exchange_over(stream, request).await
        }
    }
}

async fn exchange_over<S, B>(stream: S, request: Request<B>) -> Result<Response<Full<Bytes>>, AnyError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    B: Body<Data: Send, Error: Into<AnyError>> + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut connection = pin!(connection);
    let mut exchanging = pin!(async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, RESPONSE_MAX).collect().await?.to_bytes();
        Ok::<_, AnyError>(Response::from_parts(head, Full::new(body)))
    });
    let mut is_open = true;
    loop {
        tokio::select! {
            biased;
            exchanged = &mut exchanging => return exchanged,
            _closed = &mut connection, if is_open => is_open = false,
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}
