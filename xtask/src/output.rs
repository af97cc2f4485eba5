//! What a program that goes on running says first.

use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Result, bail};

/// How long a program may take until it says where it is.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// The first thing that `find` sees in a line of the output. A thread goes on reading, so that the program never blocks on
/// a full pipe.
pub(crate) fn first<T: Send + 'static>(
    output: impl Read + Send + 'static,
    find: impl Fn(&str) -> Option<T> + Send + 'static,
) -> Result<T> {
    let (sender, found) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some(found) = find(&line) {
                // Only the first one finds room and a reader; the rest is read and dropped.
                drop(sender.try_send(found));
            }
        }
    });
    match found.recv_timeout(READY_WITHIN) {
        Ok(found) => Ok(found),
        Err(mpsc::RecvTimeoutError::Disconnected) => bail!("it ended before it said that it is ready"),
        Err(mpsc::RecvTimeoutError::Timeout) => bail!("it is not ready after {READY_WITHIN:?}"),
    }
}
