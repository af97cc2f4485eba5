//! Requests to the authority over HTTPS. An order makes about ten.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};

use crate::http_client::AnyError;

/// A client that trusts the system's authorities, or those in a file.
pub(super) struct Client(crate::http_client::Client);

/// Time for one request, its connection included.
const TIMEOUT: Duration = Duration::from_secs(30);

impl Client {
    /// A client that trusts the authorities in a PEM file; without one, those of the system. It reads files.
    ///
    /// # Errors
    /// When the authorities cannot be read.
    pub(super) fn new(ca: Option<&str>) -> Result<Self, AnyError> {
        crate::http_client::Client::new(ca).map(Self)
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.0.clone();
        Box::pin(async move {
            let host = request.uri().host().unwrap_or_default().to_owned();
            let exchanged = if request.uri().scheme_str() == Some("https") {
                client.send(request, TIMEOUT).await
            } else {
                Err("the URL does not begin with https://".into())
            };
            let named = |error: AnyError| Error::Other(format!("{host}: {error}").into());
            exchanged.map(BytesResponse::from).map_err(named)
        })
    }
}
