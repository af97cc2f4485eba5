//! When a server has nothing more to do.

use std::time::Duration;

use anyhow::Result;

use crate::usage::time_of;

/// How often it is looked at, and for how long at most.
const RHYTHM: Duration = Duration::from_millis(50);
const LOOKS_MAX: u32 = 200;
/// Timers go on in a server that has nothing to do.
const IDLE: Duration = Duration::from_millis(1);

/// Waits until a server's CPU time stands still.
pub(crate) async fn quiet(pid: u32) -> Result<()> {
    let mut last = time_of(pid)?;
    for _ in 0..LOOKS_MAX {
        tokio::time::sleep(RHYTHM).await;
        let now = time_of(pid)?;
        if now.saturating_sub(last) < IDLE {
            return Ok(());
        }
        last = now;
    }
    Ok(())
}
