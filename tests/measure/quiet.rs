//! Detects when a server is idle.

use std::time::Duration;

use anyhow::Result;

use crate::usage::time_of;

/// The interval between readings, and their maximum number.
const INTERVAL: Duration = Duration::from_millis(50);
const READINGS_MAX: u32 = 200;
/// Timers run even in an idle server.
const IDLE: Duration = Duration::from_millis(1);

/// Waits until a server's CPU time no longer grows.
pub(crate) async fn quiet(pid: u32) -> Result<()> {
    let mut last = time_of(pid)?;
    for _ in 0..READINGS_MAX {
        tokio::time::sleep(INTERVAL).await;
        let now = time_of(pid)?;
        if now.saturating_sub(last) < IDLE {
            return Ok(());
        }
        last = now;
    }
    Ok(())
}
