//! The wrong answers to metrics, by what they get wrong.

mod counting;
mod reading;
mod right;
mod telling;

use counting::{
    ActiveByPath, AfterTheAwait, AnyMethod, DefaultBounds, EndsUnseen, FailuresUntimed,
    GuardBeside, HangUpIsAnError, HangUpUncounted, InUseWhileWaiting, LessThan, Milliseconds,
    NeverAbandoned, NobodyWaits, OneOrNone, OnlySuccesses, PanicIsAHangUp, PathForTheLost, RawPath,
    StatusClass, UpperCases, UserAsLabel, WaitsForEver, WaitsInATask, WholeMillis,
};
use grading::Decoy;
use observability_exercises::metrics::check;
use reading::{
    AGauge, AverageRate, Averaged, ClampsAtZero, ClampsTheQuantile, EmptyIsZero, Highest,
    InfinityAbove, LastMinusFirst, LowerBound, SinceTheRestart, SumThenRate, UpperBound, Weighted,
    ZeroForNone,
};
use right::Whole;
use telling::{
    AskedAtTheBeginning, BeginsAnew, CountFirst, CutsTheId, DebugFormat, DropsTheRest, EmptyId,
    LastForAll, NoEnd, NoInfinity, NoLimit, NotCumulative, OneForAll, ResetByScrape,
    TotalInTheType, TypeForEach, Unescaped, WholeSum, WrongOrder,
};

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    grading::decoys![check as Whole;
        LessThan: on_the_bound,
        DefaultBounds: on_the_bound,
        Milliseconds: cumulative,
        WholeMillis: cumulative,
        NotCumulative: cumulative,
        NoInfinity: cumulative,
        WholeSum: cumulative,
        OnlySuccesses: every_status,
        FailuresUntimed: every_status,
        StatusClass: every_status,
        OneOrNone: under_way,
        AfterTheAwait: hung_up_on,
        HangUpUncounted: hung_up_on,
        HangUpIsAnError: hung_up_on,
        EndsUnseen: unwinding,
        PanicIsAHangUp: unwinding,
        GuardBeside: unwinding,
        RawPath: routes,
        PathForTheLost: routes,
        UserAsLabel: routes,
        ActiveByPath: routes,
        AnyMethod: odd_methods,
        UpperCases: odd_methods,
        NoLimit: limit,
        DropsTheRest: limit,
        BeginsAnew: limit,
        Unescaped: escaped,
        DebugFormat: escaped,
        WrongOrder: escaped,
        LastForAll: exemplars,
        AskedAtTheBeginning: exemplars,
        EmptyId: exemplars,
        CutsTheId: exemplars,
        NoEnd: well_formed,
        TotalInTheType: well_formed,
        TypeForEach: well_formed,
        ResetByScrape: scraped_twice,
        OneForAll: apart,
        CountFirst: scraped_meanwhile,
        NobodyWaits: waits,
        InUseWhileWaiting: waits,
        WaitsForEver: gives_up,
        NeverAbandoned: gives_up,
        WaitsInATask: gives_up,
        LastMinusFirst: restarted,
        ClampsAtZero: restarted,
        SinceTheRestart: restarted,
        AGauge: restarted,
        SumThenRate: rates_added,
        AverageRate: rates_added,
        ZeroForNone: rates_added,
        Averaged: quantile_of_all,
        Weighted: quantile_of_all,
        Highest: quantile_of_all,
        UpperBound: edges,
        LowerBound: edges,
        InfinityAbove: edges,
        EmptyIsZero: edges,
        ClampsTheQuantile: edges,
    ]
}
