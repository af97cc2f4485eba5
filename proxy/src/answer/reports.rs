//! Reports that players post: events of CMCD version 2 (CTA-5004-B), one in each line of the body.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use tidegate_headers::cmcd;

use super::tier_fields::{self, Handling};
use super::upload::{Incomplete, Upload};
use crate::answer;
use crate::fate::Fate;
use crate::observe::account::Account;
use crate::request::parsed::Request;
use crate::tier::Tier;
use crate::viewer::client::Client;

/// The longest body, in bytes: 256 reports of the usual length.
const BODY_MAX: u64 = 64 * 1024;

/// Counts the reports in a request. What cannot be read is left out, because a player would repeat it.
pub(crate) async fn receive(tier: &Arc<Tier>, client: &mut Client, request: &Request) -> Account {
    let body = match read(tier, client).await {
        Ok(body) => body,
        Err(Incomplete::Closed) => return Account::gone(request),
        Err(Incomplete::Refused(refusal)) => {
            return answer::refuse(tier, client, &refusal, Some(&request.site)).await;
        }
    };
    let mut reports = Vec::new();
    for reading in cmcd::read_posted(&String::from_utf8_lossy(&body)) {
        tier.metrics().audience.posted(&reading);
        if let Some(cmcd) = reading.cmcd {
            tier.audience().add_posted(&cmcd);
            reports.push(cmcd);
        }
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    tier_fields::allow_reading(tier, &request.site, client.headers(), &mut headers);
    tier_fields::add(tier, &mut headers, Handling::here(Fate::Report), None);
    let account = Account::of(request, Fate::Report).with_reports(reports);
    account.with_result(client.head(StatusCode::NO_CONTENT, headers).await)
}

async fn read(tier: &Tier, client: &mut Client) -> Result<Vec<u8>, Incomplete> {
    let mut body = Vec::new();
    let mut upload = Upload::begin(tier, client, BODY_MAX).await?;
    while let Some(bytes) = upload.next(client).await? {
        body.extend_from_slice(&bytes);
    }
    Ok(body)
}
