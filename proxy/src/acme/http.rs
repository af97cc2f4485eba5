//! Requests to the authority over HTTPS, each on a connection of its own: an order makes about ten.

use std::error::Error as StdError;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use pingora_core::tls::load_native_certs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tidegate_upstream::pem;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

pub(super) type AnyError = Box<dyn StdError + Send + Sync>;

/// A client that trusts the system's authorities, or those in a file.
pub(super) struct Client(TlsConnector);

/// Time for one request, its connection included.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The largest response that is read, in bytes.
const RESPONSE_MAX: usize = 1 << 20;

impl Client {
    /// A client that trusts the authorities in a PEM file; without one, those of the system. It reads files.
    ///
    /// # Errors
    /// When the authorities cannot be read.
    pub(super) fn new(ca: Option<&str>) -> Result<Self, AnyError> {
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
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let connector = self.0.clone();
        Box::pin(async move {
            let host = request.uri().host().unwrap_or_default().to_owned();
            let exchanged = match timeout(TIMEOUT, exchange(connector, request)).await {
                Ok(exchanged) => exchanged,
                Err(_elapsed) => Err("no response in time".into()),
            };
            let named = |error: AnyError| Error::Other(format!("{host}: {error}").into());
            exchanged.map(BytesResponse::from).map_err(named)
        })
    }
}

async fn exchange(
    connector: TlsConnector,
    request: Request<BodyWrapper<Bytes>>,
) -> Result<Response<Full<Bytes>>, AnyError> {
    let (mut head, body) = request.into_parts();
    let authority = head.uri.authority().cloned().ok_or("the URL has no host")?;
    if head.uri.scheme_str() != Some("https") {
        return Err("the URL does not begin with https://".into());
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(443))).await?;
    let stream = connector.connect(ServerName::try_from(host.to_owned())?, stream).await?;
    head.headers.insert(header::HOST, HeaderValue::from_str(authority.as_str())?);
    head.uri = Uri::try_from(head.uri.path_and_query().map_or("/", |path| path.as_str()))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut connection = pin!(connection);
    let mut exchanging = pin!(async {
        let response = sender.send_request(Request::from_parts(head, body)).await?;
        let (head, body) = response.into_parts();
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
