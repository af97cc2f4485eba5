//! The first output of a program that keeps running.

use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Result, bail};

/// The time for a program to become ready.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// The first value that `find` returns for a line of the output. A thread continues to read, so that the
/// program never blocks on a full pipe.
pub(crate) fn first<T: Send + 'static>(
    output: impl Read + Send + 'static,
    find: impl Fn(&str) -> Option<T> + Send + 'static,
) -> Result<T> {
    let (sender, found) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some(found) = find(&line) {
                // Only the first value has room and a receiver; further ones are dropped.
                drop(sender.try_send(found));
            }
        }
    });
    match found.recv_timeout(READY_WITHIN) {
        Ok(found) => Ok(found),
        Err(mpsc::RecvTimeoutError::Disconnected) => bail!("it ended before it was ready"),
        Err(mpsc::RecvTimeoutError::Timeout) => bail!("it is not ready after {READY_WITHIN:?}"),
    }
}
