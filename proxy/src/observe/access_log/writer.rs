//! The thread that writes lines: complete lines only, several per write when several are queued.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread::JoinHandle;

use prometheus::IntCounter;

/// Where the lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// Appended to a file, which is created if it does not exist.
    File(PathBuf),
}

/// A message in the queue.
#[derive(Debug)]
pub(super) enum Message {
    /// A line, line feed included.
    Line(Vec<u8>),
    /// Write the lines before this message, and end.
    End,
}

/// The handle of the writing thread. If it is dropped without [`Writer::finish`], the thread runs until the
/// last [`super::AccessLog`] is dropped.
#[derive(Debug)]
pub struct Writer {
    running: Option<(SyncSender<Message>, JoinHandle<()>)>,
}

impl Writer {
    /// Writes every queued line and ends the thread. Blocks until then, so an async task must not call it.
    pub fn finish(self) {
        if let Some((queue, thread)) = self.running {
            queue.send(Message::End).ok();
            thread.join().ok();
        }
    }

    pub(super) const fn off() -> Self {
        Self { running: None }
    }

    pub(super) fn start(
        output: &Output,
        queue: SyncSender<Message>,
        lines: Receiver<Message>,
        dropped: IntCounter,
    ) -> io::Result<Self> {
        let sink = Sink::open(output)?;
        let write = move || Thread { sink, dropped }.run(&lines);
        let thread = std::thread::Builder::new().name("access-log".to_owned()).spawn(write)?;
        Ok(Self { running: Some((queue, thread)) })
    }
}

enum Sink {
    Stdout,
    File(File),
}

impl Sink {
    fn open(output: &Output) -> io::Result<Self> {
        match output {
            Output::Off | Output::Stdout => Ok(Self::Stdout),
            Output::File(path) => OpenOptions::new().append(true).create(true).open(path).map(Self::File),
        }
    }

    /// Locks stdout for the whole write, since several tiers of one process may write to it.
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(lines)?;
                stdout.flush()
            }
            Self::File(file) => file.write_all(lines),
        }
    }
}

struct Thread {
    sink: Sink,
    dropped: IntCounter,
}

impl Thread {
    fn run(mut self, queue: &Receiver<Message>) {
        let mut batch = Batch::default();
        while let Ok(first) = queue.recv() {
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    Message::Line(line) => batch.push(&line),
                    Message::End => {
                        self.write(&mut batch);
                        return;
                    }
                }
                next = if batch.bytes.len() < BATCH_BYTES { queue.try_recv().ok() } else { None };
            }
            self.write(&mut batch);
        }
    }

    /// A full disk or a closed pipe loses these lines; the next write is tried again.
    fn write(&mut self, batch: &mut Batch) {
        if batch.lines > 0 && self.sink.write(&batch.bytes).is_err() {
            self.dropped.inc_by(batch.lines);
        }
        batch.bytes.clear();
        batch.lines = 0;
    }
}

#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    lines: u64,
}

impl Batch {
    fn push(&mut self, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        self.lines += 1;
    }
}

const BATCH_BYTES: usize = 64 * 1024;
