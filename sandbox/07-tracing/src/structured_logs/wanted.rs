//! Which events are wanted, and how that changes while the program runs.

use std::fmt;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Level, Metadata};
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::reload;

/// Which events are wanted: `info,orders=debug`. See
/// [`StructuredLogs::new`](super::StructuredLogs::new) for the words.
///
/// It is the filter of *one* layer, and not of the subscriber:
///
/// ```
/// use observability::lines::Lines;
/// use observability::structured_logs::Wanted;
/// use tracing_subscriber::Layer;
/// use tracing_subscriber::layer::SubscriberExt;
///
/// let wanted = Wanted::parse("warn,orders=info")?;
/// let (wanted, changing) = wanted.changeable();
/// let lines = Lines::new(std::io::stdout, || None).with_filter(wanted);
/// let subscriber = tracing_subscriber::registry().with(lines);
/// changing.change("warn,orders=debug")?;
/// # drop(subscriber);
/// # Ok::<(), observability::structured_logs::BadDirective>(())
/// ```
///
/// `registry().with(EnvFilter::from_default_env())` is a filter of all layers: with `RUST_LOG=warn`
/// there are then no spans either, and the traces and metrics beside the log stop as well.
///
/// It differs from `EnvFilter` in what it makes of mistakes. There `inof` is a target of that name,
/// all of which is wanted, and nothing else is; here it is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The longest target first, and last the one that all others are below of: `""`.
    directives: Vec<(String, LevelFilter)>,
}

/// A piece of what was wanted is no directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadDirective {
    /// The piece, as it was written.
    pub piece: String,
}

impl fmt::Display for BadDirective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words =
            "a level (off, error, warn, info, debug, trace) or target=level, each target once";
        write!(f, "`{}` is no directive: write {words}", self.piece.escape_debug())
    }
}

impl std::error::Error for BadDirective {}

// ANCHOR: wanted
impl Wanted {
    /// Reads directives, with commas between.
    ///
    /// # Errors
    /// The first piece that is none.
    pub fn parse(text: &str) -> Result<Wanted, BadDirective> {
        let mut directives: Vec<(String, LevelFilter)> = Vec::new();
        for piece in text.split(',').map(str::trim) {
            let bad = || BadDirective { piece: piece.to_owned() };
            let (target, level) = match piece.split_once('=') {
                Some((target, level)) => (target.trim(), level.trim()),
                None => ("", piece),
            };
            let is_target = |c: char| c.is_alphanumeric() || "_:-./".contains(c);
            let is_named = piece.contains('=');
            if is_named && (target.is_empty() || !target.chars().all(is_target)) {
                return Err(bad());
            }
            // Said twice, one of the two is a mistake, and nobody knows which.
            if directives.iter().any(|(known, _)| known == target) {
                return Err(bad());
            }
            directives.push((target.to_owned(), level_of(level).ok_or_else(bad)?));
        }
        directives.sort_by_key(|(target, _)| std::cmp::Reverse(target.len()));
        Ok(Wanted { directives })
    }

    /// Whether an event of this level and target is wanted.
    pub fn wants(&self, level: Level, target: &str) -> bool {
        let decides = self.directives.iter().find(|(of, _)| is_below(target, of));
        decides.is_some_and(|(_, most)| level <= *most)
    }

    /// The filter of a layer, and the handle with which it is changed later.
    pub fn changeable<S>(self) -> (Filtering<S>, Changing<S>) {
        let (filter, handle) = reload::Layer::new(self);
        (filter, Changing { handle })
    }
}

/// `orders_archive` begins like `orders`, and is not below it.
fn is_below(target: &str, of: &str) -> bool {
    let rest = target.strip_prefix(of);
    of.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Not `LevelFilter::from_str`, which takes `orders=` for errors, and `3` for a level.
fn level_of(text: &str) -> Option<LevelFilter> {
    let levels = [
        ("off", LevelFilter::OFF),
        ("error", LevelFilter::ERROR),
        ("warn", LevelFilter::WARN),
        ("info", LevelFilter::INFO),
        ("debug", LevelFilter::DEBUG),
        ("trace", LevelFilter::TRACE),
    ];
    levels.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, level)| level)
}
// ANCHOR_END: wanted

// ANCHOR: filter
impl<S> Filter<S> for Wanted {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.wants(*metadata.level(), metadata.target())
    }

    /// Asked once for each place in the program, and remembered there: after that, an event that
    /// nobody wants is one comparison, and its values are never made.
    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self.wants(*metadata.level(), metadata.target()) {
            true => Interest::always(),
            false => Interest::never(),
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.directives.iter().map(|(_, most)| *most).max()
    }
}

/// A filter whose [`Wanted`] can be changed.
pub type Filtering<S> = reload::Layer<Wanted, S>;

/// Changes what is wanted, while the program runs: from an admin's endpoint, or at a signal.
pub struct Changing<S> {
    handle: reload::Handle<Wanted, S>,
}

impl<S> Changing<S> {
    /// From now on `text` is wanted, on all threads. Where the subscriber is gone, nothing happens.
    ///
    /// # Errors
    /// The first piece that is no directive; and then everything stays as it was.
    pub fn change(&self, text: &str) -> Result<(), BadDirective> {
        let wanted = Wanted::parse(text)?;
        // This also makes all places forget what they remember.
        let _ = self.handle.reload(wanted);
        Ok(())
    }

    /// What is wanted now, unless the subscriber is gone.
    pub fn now(&self) -> Option<Wanted> {
        self.handle.clone_current()
    }
}
// ANCHOR_END: filter

impl<S> Clone for Changing<S> {
    fn clone(&self) -> Changing<S> {
        Changing { handle: self.handle.clone() }
    }
}

impl<S> fmt::Debug for Changing<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changing").field("now", &self.now()).finish()
    }
}

impl fmt::Display for Wanted {
    /// As it can be read again, the longest target first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, (target, level)) in self.directives.iter().enumerate() {
            let (comma, equals) =
                (if nth > 0 { "," } else { "" }, if target.is_empty() { "" } else { "=" });
            write!(f, "{comma}{target}{equals}{level}")?;
        }
        Ok(())
    }
}
