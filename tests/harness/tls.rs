//! TLS for tests: a certificate authority that lives as long as its test, viewers that trust it, and a
//! TLS-terminating server in front of one without TLS.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, DigitallySignedStruct, HandshakeKind, RootCertStore, ServerConfig, SignatureScheme,
};
use tempfile::TempDir;
use tidegate_proxy::config::tls::Listen;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// A certificate authority; dropping it deletes its files.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
    issued: AtomicU64,
}

/// A certificate and its key, in files.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The path of the certificate.
    pub certificate: String,
    /// The path of its key.
    pub key: String,
}

/// A viewer's TLS: its trusted authority, its own certificate, and the server name that it expects.
#[derive(Clone)]
pub struct ViewerTls {
    config: Arc<ClientConfig>,
    roots: Arc<RootCertStore>,
    name: ServerName<'static>,
}

/// A server that terminates TLS and forwards all bytes to another server, which has none.
#[derive(Debug)]
pub struct Terminator {
    addr: SocketAddr,
    handshakes: Arc<Handshakes>,
    _stop: DropGuard,
}

#[derive(Debug, Default)]
struct Handshakes {
    full: AtomicU64,
    resumed: AtomicU64,
    failed: AtomicU64,
}

/// A new authority, trusted only where a test configures it.
pub fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "An authority for one test");
    let key = KeyPair::generate().expect("a key");
    let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
    let folder = TempDir::with_prefix("tidegate-tls-").expect("a folder");
    std::fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("a file");
    Authority { issuer, folder, issued: AtomicU64::new(0) }
}

impl Authority {
    /// The path of its own certificate.
    pub fn file(&self) -> String {
        self.path("ca.pem")
    }

    /// A certificate for these host names and addresses.
    pub fn issue(&self, names: &[&str]) -> Issued {
        self.sign(names, |_params| {})
    }

    /// A certificate that has expired.
    pub fn issue_expired(&self, names: &[&str]) -> Issued {
        self.sign(names, |params| {
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        })
    }

    /// TLS for viewers that trust this authority, to a server named `name`.
    pub fn viewer_tls(&self, name: &str) -> ViewerTls {
        self.client(name, None)
    }

    /// The same for viewers that present a certificate.
    pub fn viewer_tls_with(&self, name: &str, shown: &Issued) -> ViewerTls {
        self.client(name, Some(shown))
    }

    fn sign(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        let issued = Issued {
            certificate: self.path(&format!("{number}.pem")),
            key: self.path(&format!("{number}.key")),
        };
        std::fs::write(&issued.certificate, certificate.pem()).expect("a file");
        std::fs::write(&issued.key, key.serialize_pem()).expect("a file");
        issued
    }

    fn client(&self, name: &str, shown: Option<&Issued>) -> ViewerTls {
        let mut trusted = RootCertStore::empty();
        trusted.add(self.issuer.der().clone()).expect("an authority");
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let roots = Arc::new(trusted);
        let builder = builder.expect("versions").with_root_certificates(Arc::clone(&roots));
        let config = match shown {
            Some(shown) => builder.with_client_auth_cert(shown.chain(), shown.private_key()).expect("a pair"),
            None => builder.with_no_client_auth(),
        };
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        ViewerTls { config: Arc::new(config), roots, name }
    }

    fn path(&self, file: &str) -> String {
        self.folder.path().join(file).to_str().expect("a path in UTF-8").to_owned()
    }
}

impl Issued {
    /// A listener on a free port that presents this certificate.
    pub fn listen(&self) -> Listen {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Listen::new(address, self.certificate.clone(), self.key.clone())
    }

    /// The same, requiring a client certificate by `authority`.
    pub fn listen_with_client_ca(&self, authority: &Authority) -> Listen {
        Listen { client_ca: Some(authority.file()), ..self.listen() }
    }

    /// The certificate itself.
    pub fn first_der(&self) -> Vec<u8> {
        self.chain().first().expect("a certificate").to_vec()
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        let chain = CertificateDer::pem_file_iter(&self.certificate).expect("a file");
        chain.map(|certificate| certificate.expect("a certificate")).collect()
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_file(&self.key).expect("a key")
    }
}

impl ViewerTls {
    /// Offers HTTP/2 in the handshake.
    #[must_use]
    pub fn http2(mut self) -> Self {
        Arc::make_mut(&mut self.config).alpn_protocols = vec![b"h2".to_vec()];
        self
    }

    /// The same trust, for a server with another name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = ServerName::try_from(name.to_owned()).expect("a name");
        self
    }

    /// Accepts a certificate by anyone for any name, and remembers the OCSP response that was stapled to it.
    #[must_use]
    pub fn accepting_any(mut self) -> (Self, Arc<Mutex<Vec<u8>>>) {
        let accepting = Arc::new(AcceptingAny::default());
        let stapled = Arc::clone(&accepting.stapled);
        let config = Arc::make_mut(&mut self.config);
        config.dangerous().set_certificate_verifier(accepting);
        (self, stapled)
    }

    /// Offers TLS 1.2 alone.
    #[must_use]
    pub fn tls12(mut self) -> Self {
        let roots = Arc::clone(&self.roots);
        let builder = ClientConfig::builder_with_provider(provider());
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS12]).expect("a version");
        self.config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
        self
    }

    /// Performs the handshake on a connection.
    ///
    /// # Errors
    /// When one side refuses the other. In TLS 1.3 a server's refusal arrives later, when the connection is
    /// read.
    pub async fn handshake(&self, stream: TcpStream) -> std::io::Result<client::TlsStream<TcpStream>> {
        TlsConnector::from(Arc::clone(&self.config)).connect(self.name.clone(), stream).await
    }
}

/// A verifier that accepts every certificate, for tests of which one is presented.
#[derive(Debug, Default)]
struct AcceptingAny {
    stapled: Arc<Mutex<Vec<u8>>>,
}

impl ServerCertVerifier for AcceptingAny {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        ocsp.clone_into(&mut self.stapled.lock().expect("no panic"));
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

impl Terminator {
    /// Runs in front of `target`, presenting `shown`.
    pub async fn run(target: SocketAddr, shown: &Issued) -> Self {
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let config = builder.expect("versions").with_no_client_auth();
        let config = config.with_single_cert(shown.chain(), shown.private_key()).expect("a pair");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let (stop, tasks, handshakes) =
            (CancellationToken::new(), TaskTracker::new(), Arc::<Handshakes>::default());
        let (stopped, counted) = (stop.clone(), Arc::clone(&handshakes));
        tasks.clone().spawn(stopped.clone().run_until_cancelled_owned(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let relayed = relay(acceptor.clone(), stream, target, Arc::clone(&counted));
                tasks.spawn(stopped.clone().run_until_cancelled_owned(relayed));
            }
        }));
        Self { addr, handshakes, _stop: stop.drop_guard() }
    }

    /// Its URL for configurations.
    pub fn url(&self) -> String {
        format!("https://{}", self.addr)
    }

    /// Full handshakes, resumed ones, and failed ones.
    pub fn handshakes(&self) -> (u64, u64, u64) {
        let Handshakes { full, resumed, failed } = &*self.handshakes;
        (full.load(Ordering::Relaxed), resumed.load(Ordering::Relaxed), failed.load(Ordering::Relaxed))
    }
}

async fn relay(acceptor: TlsAcceptor, stream: TcpStream, target: SocketAddr, counted: Arc<Handshakes>) {
    let Ok(mut stream) = acceptor.accept(stream).await else {
        counted.failed.fetch_add(1, Ordering::Relaxed);
        return;
    };
    match stream.get_ref().1.handshake_kind() {
        Some(HandshakeKind::Resumed) => counted.resumed.fetch_add(1, Ordering::Relaxed),
        _ => counted.full.fetch_add(1, Ordering::Relaxed),
    };
    let mut target = TcpStream::connect(target).await.expect("the other server");
    // Either side may close it at any time.
    let _end = tokio::io::copy_bidirectional(&mut stream, &mut target).await;
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl fmt::Debug for ViewerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewerTls").field("name", &self.name).finish_non_exhaustive()
    }
}
