//! Those who are wrong about what is wanted.

use super::right::{Rules, Way, Whole, bad, is_below, level, pieces, rule};
use observability::structured_logs::{BadDirective, Raised};
use std::io::Write;
use std::sync::{PoisonError, RwLock};
use tracing::Level;
use tracing_subscriber::filter::LevelFilter;

/// Makes the line, and then asks whether it is wanted. Thousands of lines a second are made for
/// nobody. Rejected by `unwanted`.
pub struct LooksFirst;

impl Way for LooksFirst {
    fn write(log: &Whole<Self>, event: &Raised<'_>, to: &mut dyn Write) {
        let line = Self::line(event);
        if Self::wants(&log.rules(), event.level, event.target) {
            Self::put(&line.unwrap_or_default(), to);
        }
    }
}

/// The first directive that fits. `info,orders=debug` never comes to its second. Rejected by
/// `most_specific`.
pub struct FirstWins;

impl Way for FirstWins {
    fn wants(rules: &Rules, level: Level, target: &str) -> bool {
        let first = rules.iter().find(|(of, _)| is_below(target, of));
        first.is_some_and(|(_, most)| level <= *most)
    }
}

/// The last one that fits, as a later line overrides an earlier one. Rejected by `most_specific`.
pub struct LastWins;

impl Way for LastWins {
    fn wants(rules: &Rules, level: Level, target: &str) -> bool {
        let last = rules.iter().rfind(|(of, _)| is_below(target, of));
        last.is_some_and(|(_, most)| level <= *most)
    }
}

/// `starts_with`. So does `orders_archive`, which writes ten thousand lines a minute. Rejected by
/// `most_specific`.
pub struct ByTheLetters;

impl Way for ByTheLetters {
    fn wants(rules: &Rules, level: Level, target: &str) -> bool {
        let fitting = rules.iter().filter(|(of, _)| target.starts_with(of.as_str()));
        fitting.max_by_key(|(of, _)| of.len()).is_some_and(|(_, most)| level <= *most)
    }
}

/// A map from target to level. What is below a target is not found in it. Rejected by
/// `most_specific`.
pub struct ExactTarget;

impl Way for ExactTarget {
    fn wants(rules: &Rules, level: Level, target: &str) -> bool {
        let of = |wanted: &str| rules.iter().find(|(of, _)| of == wanted);
        of(target).or_else(|| of("")).is_some_and(|(_, most)| level <= *most)
    }
}

/// Reads the environment when it starts. To see more, the program is restarted, and what was to be
/// seen is gone. Rejected by `changed`.
pub struct AtRestart;

impl Way for AtRestart {
    fn change(_: &Whole<Self>, wanted: &str) -> Result<(), BadDirective> {
        Self::rules(wanted).map(drop)
    }
}

/// Adds what is wanted now to what was. After the search nobody can turn it off. Rejected by
/// `changed`.
pub struct OnlyWider;

impl Way for OnlyWider {
    fn change(log: &Whole<Self>, wanted: &str) -> Result<(), BadDirective> {
        let mut all = log.rules();
        for (target, most) in Self::rules(wanted)? {
            match all.iter_mut().find(|(known, _)| *known == target) {
                Some((_, known)) => *known = most.max(*known),
                None => all.push((target, most)),
            }
        }
        log.set(all);
        Ok(())
    }
}

/// A switch: one level for everything. To see one module's secrets is to drown in all the others'.
/// Rejected by `changed`.
pub struct AllOrNothing;

impl Way for AllOrNothing {
    fn change(log: &Whole<Self>, wanted: &str) -> Result<(), BadDirective> {
        let most = Self::rules(wanted)?.into_iter().map(|(_, most)| most).max();
        log.set(vec![(String::new(), most.unwrap_or(LevelFilter::OFF))]);
        Ok(())
    }
}

/// What cannot be read wants everything: better too much than too little. It fills a disk in a night,
/// and `debug` lines are where the secrets are. Rejected by `bad_directive`.
pub struct Opens;

impl Way for Opens {
    fn rules(wanted: &str) -> Result<Rules, BadDirective> {
        Ok(super::right::rules(wanted).unwrap_or(vec![(String::new(), LevelFilter::TRACE)]))
    }
}

/// What cannot be read wants nothing. The service is silent, and that looks like health. Rejected by
/// `bad_directive`.
pub struct Closes;

impl Way for Closes {
    fn rules(wanted: &str) -> Result<Rules, BadDirective> {
        Ok(super::right::rules(wanted).unwrap_or_default())
    }
}

/// Leaves out what it does not understand, and goes on, as `EnvFilter::from_default_env` does.
/// Rejected by `bad_directive`.
pub struct Skips;

impl Way for Skips {
    fn rules(wanted: &str) -> Result<Rules, BadDirective> {
        Ok(pieces(wanted).filter_map(rule).collect())
    }
}

/// Takes directive after directive into force, up to the one that is none. Rejected by
/// `bad_directive`.
pub struct HalfAChange;

impl Way for HalfAChange {
    fn change(log: &Whole<Self>, wanted: &str) -> Result<(), BadDirective> {
        let read: Rules = pieces(wanted).map_while(rule).collect();
        if !read.is_empty() {
            log.set(read);
        }
        Self::rules(wanted).map(drop)
    }
}

/// "Invalid filter", followed by all of it. Of twelve directives one is wrong, and it is night.
/// Rejected by `bad_directive`.
pub struct NamesAll;

impl Way for NamesAll {
    fn rules(wanted: &str) -> Result<Rules, BadDirective> {
        super::right::rules(wanted).map_err(|_| bad(wanted))
    }
}

/// A word that is no level is a target, all of which is wanted: so `EnvFilter` reads it. `inof` is a
/// target then, that nobody has. Rejected by `bad_directive`.
pub struct WordsAreTargets;

impl Way for WordsAreTargets {
    fn rules(wanted: &str) -> Result<Rules, BadDirective> {
        let mut rules = Rules::new();
        for piece in pieces(wanted) {
            let is_word = !piece.is_empty() && !piece.contains('=') && level(piece).is_none();
            let word = is_word.then(|| (piece.to_owned(), LevelFilter::TRACE));
            rules.push(word.or_else(|| rule(piece)).ok_or_else(|| bad(piece))?);
        }
        Ok(rules)
    }
}

/// "In any case", so all of it is made small before it is read, targets as well. `Shop::Till` is then
/// wanted by a name that nobody has. Rejected by `most_specific`.
pub struct SmallTargets;

impl Way for SmallTargets {
    fn rules(wanted: &str) -> Result<Rules, BadDirective> {
        super::right::rules(&wanted.to_lowercase()).map_err(|small| {
            let as_written = pieces(wanted).find(|piece| piece.to_lowercase() == small.piece);
            bad(as_written.unwrap_or(&small.piece))
        })
    }
}

/// What is below begins with the target and goes on with no letter. `orders-archive` does, which is
/// another service. Rejected by `most_specific`.
pub struct UpToTheWord;

impl Way for UpToTheWord {
    fn wants(rules: &Rules, level: Level, target: &str) -> bool {
        let goes_on = |rest: &str| rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        let fitting = rules.iter().filter(|(of, _)| {
            of.is_empty() || target.strip_prefix(of.as_str()).is_some_and(|rest| !goes_on(rest))
        });
        fitting.max_by_key(|(of, _)| of.len()).is_some_and(|(_, most)| level <= *most)
    }
}

/// One `static` for what is wanted, since a program has one log. It has one for the audit as well, and
/// its tests have one each. Rejected by `changed`.
pub struct OneForAll;

static WANTED: RwLock<Rules> = RwLock::new(Rules::new());

impl Way for OneForAll {
    fn rules(wanted: &str) -> Result<Rules, BadDirective> {
        let rules = super::right::rules(wanted)?;
        WANTED.write().unwrap_or_else(PoisonError::into_inner).clone_from(&rules);
        Ok(rules)
    }

    fn write(_: &Whole<Self>, event: &Raised<'_>, to: &mut dyn Write) {
        let rules = WANTED.read().unwrap_or_else(PoisonError::into_inner).clone();
        if Self::wants(&rules, event.level, event.target) {
            Self::put(&Self::line(event).unwrap_or_default(), to);
        }
    }
}

/// Reads all directives, and only then looks whether one came twice. What is named is not the first
/// that is wrong: it is corrected, and the next attempt fails as well. Rejected by `bad_directive`.
pub struct TwiceLast;

impl Way for TwiceLast {
    fn rules(wanted: &str) -> Result<Rules, BadDirective> {
        match pieces(wanted).find(|piece| rule(piece).is_none()) {
            Some(piece) => Err(bad(piece)),
            None => super::right::rules(wanted),
        }
    }
}

/// Looks whether a target is that of the directive before. It was added at the end of the line, as one
/// does. Rejected by `bad_directive`.
pub struct OnlyTheOneBefore;

impl Way for OnlyTheOneBefore {
    fn rules(wanted: &str) -> Result<Rules, BadDirective> {
        let mut rules = Rules::new();
        for piece in pieces(wanted) {
            let is_new = |target: &str| rules.last().is_none_or(|(known, _)| known != target);
            let rule = rule(piece).filter(|(target, _)| is_new(target));
            rules.push(rule.ok_or_else(|| bad(piece))?);
        }
        Ok(rules)
    }
}
