//! One order: account, challenge, certificate (RFC 8555 section 7). It writes a few small files, which is the
//! only thing in it that blocks.

use std::io;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, Identifier, NewAccount, NewOrder, Order, OrderStatus,
    RetryPolicy,
};

use super::http::Client;
use super::pause::Cause;
use super::storage::{Published, Storage};
use crate::config::acme::{Acme, Challenge};
use crate::http_client::AnyError;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    /// The trusted authorities cannot be used.
    #[error("no client: {0}")]
    Client(AnyError),
    /// The authority refused, or could not be reached.
    #[error("{0}")]
    Acme(#[from] Error),
    /// The storage failed.
    #[error("storage: {0}")]
    Storage(#[from] io::Error),
    /// The authority does not offer the configured challenge.
    #[error("the authority offers no {0} challenge")]
    NoChallenge(&'static str),
    /// The authority could not validate the host.
    #[error("the authority did not validate the host: {0}")]
    NotValidated(String),
    /// It took too long.
    #[error("not finished in time")]
    TimedOut,
}

/// How long the authority may take to validate a host, and to issue a certificate.
const PATIENCE: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(500)).backoff(1.5).timeout(Duration::from_mins(2));

/// Time for an order.
const TIMEOUT: Duration = Duration::from_mins(10);

impl OrderError {
    pub(super) fn cause(&self) -> Cause {
        match self {
            // Neither is about the order (RFC 8555 section 6.7).
            _ if self.is_problem("badNonce") || self.is_problem("serverInternal") => Cause::Trouble,
            Self::Acme(Error::Api(_)) | Self::NoChallenge(_) | Self::NotValidated(_) => Cause::Refusal,
            _ => Cause::Trouble,
        }
    }

    /// Whether the authority has sent this type of problem.
    fn is_problem(&self, name: &str) -> bool {
        let kind = match self {
            Self::Acme(Error::Api(problem)) => problem.r#type.as_deref(),
            _ => None,
        };
        kind.and_then(|kind| kind.strip_prefix("urn:ietf:params:acme:error:")) == Some(name)
    }
}

/// Orders a certificate for a host and stores it. The caller has the lock of the storage.
pub(super) async fn obtain(acme: &Acme, storage: &Storage, host: &str) -> Result<(), OrderError> {
    let ordered = tokio::time::timeout(TIMEOUT, order(acme, storage, host)).await;
    let ordered = ordered.unwrap_or(Err(OrderError::TimedOut));
    if ordered.as_ref().is_err_and(|error| error.is_problem("accountDoesNotExist")) {
        // The authority may have lost it, as pebble does when it ends. The next order makes a new one.
        storage.forget_account()?;
    }
    ordered
}

async fn order(acme: &Acme, storage: &Storage, host: &str) -> Result<(), OrderError> {
    let account = account(acme, storage).await?;
    let identifiers = [Identifier::Dns(host.to_owned())];
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
    // The responses stay published until the authority has seen them.
    let published = respond(acme, storage, host, &mut order).await?;
    let status = order.poll_ready(&PATIENCE).await;
    drop(published);
    if !matches!(status, Ok(OrderStatus::Ready) | Err(Error::Timeout(_))) {
        // The authorization says more than the order.
        if let Some(reason) = reason(&mut order).await {
            return Err(OrderError::NotValidated(reason));
        }
    }
    if status? != OrderStatus::Ready {
        return Err(OrderError::NotValidated("it gave no reason".to_owned()));
    }
    let key = order.finalize().await?;
    let chain = order.poll_certificate(&PATIENCE).await?;
    Ok(storage.store_certificate(host, &format!("{}\n{key}", chain.trim_end()))?)
}

/// The account in the storage, or a new one.
async fn account(acme: &Acme, storage: &Storage) -> Result<Account, OrderError> {
    let client = Client::new(acme.ca.as_deref()).map_err(OrderError::Client)?;
    let builder = Account::builder_with_http(Box::new(client));
    if let Some(known) = storage.account()? {
        return Ok(builder.from_credentials(known).await?);
    }
    let contact = acme.email.as_ref().map(|email| format!("mailto:{email}"));
    let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let (account, credentials) = builder.create(&new, acme.directory.clone(), None).await?;
    storage.store_account(&credentials)?;
    Ok(account)
}

/// Publishes the responses to the order's challenges, and has the authority validate them.
async fn respond(
    acme: &Acme,
    storage: &Storage,
    host: &str,
    order: &mut Order,
) -> Result<Vec<Published>, OrderError> {
    let (kind, name) = match acme.challenge {
        Challenge::Http01 => (ChallengeType::Http01, "http-01"),
        Challenge::TlsAlpn01 => (ChallengeType::TlsAlpn01, "tls-alpn-01"),
    };
    let mut published = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        // An authority may remember a validation.
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let mut challenge = authorization.challenge(kind.clone()).ok_or(OrderError::NoChallenge(name))?;
        let key_authorization = challenge.key_authorization();
        published.push(storage.publish(host, &challenge.token, key_authorization.as_str())?);
        challenge.set_ready().await?;
    }
    Ok(published)
}

/// What the authority says about the challenges of an order that failed.
async fn reason(order: &mut Order) -> Option<String> {
    let mut reasons = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if let Ok(state) = authorization.refresh().await {
            let problems = state.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
            reasons.extend(problems.map(ToString::to_string));
        }
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}
