//! How a lesson lists its checks and its wrong answers: a line each.

/// The checks of a lesson, on a subject that fulfils its contract: name, and in one sentence what
/// holds if it passes. The name is that of the function, which is generic over the subject and
/// gets the [`World`](crate::World).
///
/// What else there is to say of a check is said as to a [`Check`](crate::Check), and what there is
/// to say of all of them in the first line:
///
/// ```
/// mod lease {
///     # use grading::{Child, Finding, World};
///     # use std::time::Duration;
///     # pub trait Lease: 'static {}
///     # impl Lease for () {}
///     # async fn one_holder<S>(_: World) -> Result<(), Finding> { Ok(()) }
///     # async fn killed_holder<S>(_: World) -> Result<(), Finding> { Ok(()) }
///     # async fn holder<S>(_: Child) {}
///     grading::checks! { S: Lease; read("docs/lessons/lease.md"), limit(Duration::from_secs(10));
///         one_holder: "of many who ask at once, one holds",
///         killed_holder: "who was killed holds for no longer than a TTL"
///             .process(holder::<S>),
///     }
/// }
/// # assert_eq!(lease::checks::<()>()[1].name(), "killed_holder");
/// # assert_eq!(lease::check::one_holder::<()>().name(), "one_holder");
/// ```
///
/// This makes a function `checks`, of all of them, and a module `check` with a function for each. A
/// wrong answer is graded by one check, and is compiled with that one alone: with all checks for
/// each of two hundred wrong answers, the compiler took minutes and gigabytes.
#[macro_export]
macro_rules! checks {
    ($subject:ident: $contract:path; $($all:ident ( $($said:expr),* )),+;
     $($name:ident: $title:literal $(. $more:ident ( $($argument:expr),* ))*),+ $(,)?) => {
        /// The checks, on any answer that fulfils the contract.
        pub fn checks<$subject: $contract>() -> Vec<$crate::Check> {
            vec![$(check::$name::<$subject>()),+]
        }

        /// Each check by itself.
        pub mod check {
            use super::*;

            $crate::checks! { @each [$subject: $contract] [$(. $all ( $($said),* ))+]
                $([$name: $title $(. $more ( $($argument),* ))*])+ }
        }
    };
    // One by one, since what is said of all cannot be repeated within what is said of each.
    (@each $of:tt $all:tt $($check:tt)+) => {
        $($crate::checks! { @one $of $all $check })+
    };
    (@one [$subject:ident: $contract:path] [$($all:tt)+]
     [$name:ident: $title:literal $($more:tt)*]) => {
        #[doc = $title]
        pub fn $name<$subject: $contract>() -> $crate::Check {
            $crate::Check::new(stringify!($name), $title, super::$name::<$subject>)
                $($all)+ $($more)*
        }
    };
}

/// The wrong answers of a lesson, each with the check that must reject it. What comes first is the
/// module that [`checks!`] has made. The name of a wrong answer is that of its type, in small
/// letters. Where what is written down is a part of an answer, the whole follows an `as`.
///
/// ```
/// # mod lease {
/// #     use grading::{Finding, World};
/// #     pub trait Lease: 'static {}
/// #     impl<T: 'static> Lease for T {}
/// #     async fn late_release<S>(_: World) -> Result<(), Finding> { Ok(()) }
/// #     grading::checks! { S: Lease; read("");
/// #         late_release: "a late owner frees nobody else's lease"
/// #     }
/// # }
/// # use grading::Decoy;
/// # use lease::check;
/// struct DelWithoutToken;
/// # struct Forgets;
/// # struct Whole<P>(P);
///
/// pub fn all() -> Vec<Decoy> {
///     let mut all = grading::decoys![check;
///         DelWithoutToken: late_release,
///     ];
///     all.extend(grading::decoys![check as Whole;
///         Forgets: late_release,
///     ]);
///     all
/// }
/// # assert_eq!(all()[0].name, "del_without_token");
/// # assert_eq!(all()[1].name, "forgets");
/// ```
#[macro_export]
macro_rules! decoys {
    ($check:ident; $($subject:ident: $rejected_by:ident),+ $(,)?) => {
        vec![$($crate::Decoy {
            name: $crate::list::small(stringify!($subject)),
            rejected_by: $check::$rejected_by::<$subject>(),
        }),+]
    };
    ($check:ident as $whole:ident; $($part:ident: $rejected_by:ident),+ $(,)?) => {
        vec![$($crate::Decoy {
            name: $crate::list::small(stringify!($part)),
            rejected_by: $check::$rejected_by::<$whole<$part>>(),
        }),+]
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
