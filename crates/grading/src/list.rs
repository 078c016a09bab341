//! How a lesson lists its checks and its wrong answers: a line each.

/// The checks of a lesson, on a subject that fulfils its contract: name, and in one sentence what
/// holds if it passes. The name is that of the function, which is generic over the subject and
/// gets the [`World`](crate::World).
///
/// What else there is to say of a check is said as to a [`Check`](crate::Check):
///
/// ```
/// # use grading::{Check, Child, Finding, World};
/// # use std::time::Duration;
/// # async fn one_holder<S>(_: World) -> Result<(), Finding> { Ok(()) }
/// # async fn killed_holder<S>(_: World) -> Result<(), Finding> { Ok(()) }
/// # async fn holder<S>(_: Child) {}
/// pub fn checks<S: 'static>() -> Vec<Check> {
///     grading::checks![S, "docs/lessons/lease.md";
///         one_holder: "of many who ask at once, one holds",
///         killed_holder: "who was killed holds for no longer than a TTL"
///             .process(holder::<S>)
///             .limit(Duration::from_secs(10)),
///     ]
/// }
/// # assert_eq!(checks::<()>()[1].name(), "killed_holder");
/// ```
#[macro_export]
macro_rules! checks {
    ($subject:ty, $page:expr;
     $($name:ident: $title:literal $(. $more:ident ( $($argument:expr),* ))*),+ $(,)?) => {
        vec![$(
            $crate::Check::new(stringify!($name), $title, $name::<$subject>)
                .read($page)
                $(. $more ( $($argument),* ))*
        ),+]
    };
}

/// The wrong answers of a lesson, each with the check that must reject it. What comes first is the
/// function that makes the checks of a subject. The name of a wrong answer is that of its type, in
/// small letters.
///
/// ```
/// # use grading::{Check, Decoy, Finding, World};
/// # async fn late_release<S>(_: World) -> Result<(), Finding> { Ok(()) }
/// # pub fn checks<S: 'static>() -> Vec<Check> {
/// #     grading::checks![S, ""; late_release: "a late owner frees nobody else's lease"]
/// # }
/// struct DelWithoutToken;
///
/// pub fn all() -> Vec<Decoy> {
///     grading::decoys![checks;
///         DelWithoutToken: late_release,
///     ]
/// }
/// # assert_eq!(all()[0].name, "del_without_token");
/// ```
#[macro_export]
macro_rules! decoys {
    ($checks:ident; $($subject:ty: $rejected_by:ident),+ $(,)?) => {
        vec![$(
            $crate::Decoy {
                name: $crate::list::small(stringify!($subject)),
                rejected_by: stringify!($rejected_by),
                checks: $checks::<$subject>(),
            }
        ),+]
    };
}

/// `DelWithoutToken` as `del_without_token`. A process lists its decoys once, so the name may live
/// as long as it does.
#[doc(hidden)]
pub fn small(name: &str) -> &'static str {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out.leak()
}
