//! A writer that makes nobody wait.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};
use tracing_subscriber::fmt::MakeWriter;

/// Lines are handed to a thread, which writes them. A clone hands them to the same one.
///
/// Who logs waits for nobody: not for a disk, and not for the reader of a pipe that hangs, which
/// otherwise takes all threads of a service with it, one by one. Where the thread is behind by as many
/// lines as there is room for, further ones are lost, and counted.
///
/// ```
/// use observability::lines::{Aside, Lines};
/// use std::time::Duration;
///
/// let (aside, ending) = Aside::to(std::io::stdout(), 10_000)?;
/// let lines = Lines::new(aside, || None);
/// # drop(lines);
/// // At the end of `main`, or what has just been logged is lost:
/// ending.wait(Duration::from_secs(1));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Aside {
    lines: SyncSender<Hand>,
    lost: Arc<AtomicU64>,
}

/// With this the thread is waited for.
pub struct Ending {
    lines: SyncSender<Hand>,
    ended: Receiver<()>,
}

enum Hand {
    Line(Vec<u8>),
    End,
}

impl Aside {
    /// Begins a thread that writes to `to`, and is behind by at most `room` lines.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn to(mut to: impl Write + Send + 'static, room: usize) -> io::Result<(Aside, Ending)> {
        let (lines, handed) = sync_channel(room);
        let (end, ended) = sync_channel(1);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || {
            while let Ok(Hand::Line(line)) = handed.recv() {
                // The next one may be taken again.
                let _ = to.write_all(&line);
            }
            let _ = to.flush();
            let _ = end.send(());
        })?;
        let aside = Aside { lines: lines.clone(), lost: Arc::default() };
        Ok((aside, Ending { lines, ended }))
    }

    /// So many lines were lost because there was no room. Let a metric tell it: the log cannot.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Ending {
    /// Waits until all is written that has been handed over, for at most `patience`. Whether it is.
    /// What is logged from here on is lost.
    pub fn wait(self, patience: Duration) -> bool {
        let began = Instant::now();
        let left = || patience.saturating_sub(began.elapsed());
        while let Err(TrySendError::Full(_)) = self.lines.try_send(Hand::End) {
            if left().is_zero() {
                return false;
            }
            std::thread::sleep(left().min(Duration::from_millis(5)));
        }
        // Disconnected: it has ended, because the writer has panicked.
        self.ended.recv_timeout(left()) != Err(RecvTimeoutError::Timeout)
    }
}

impl Write for Aside {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lines.try_send(Hand::Line(line.to_owned())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Aside {
    type Writer = Aside;

    fn make_writer(&'a self) -> Aside {
        self.clone()
    }
}

impl fmt::Debug for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aside").field("lost", &self.lost()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ending").finish_non_exhaustive()
    }
}
