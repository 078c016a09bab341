//! The wrong answers to metrics, by what they get wrong.

mod counting;
mod exemplars;
mod figures;
mod pooling;
mod reading;
mod right;
mod telling;

use counting::{
    ActiveByPath, AfterTheAwait, AnswersThePanic, AnyMethod, BeginsWhenMade, DefaultBounds,
    EndsUnseen, EndsWithItsFuture, FailuresUntimed, GuardBeside, HangUpIsAnError, HangUpUncounted,
    KnownStatuses, LessThan, Milliseconds, OneOrNone, OnlySuccesses, PanicIsAHangUp,
    PathForTheLost, RawPath, StatusClass, UpperCases, UserAsLabel, WholeMicros, WholeMillis,
};
use exemplars::{
    AskedAtTheBeginning, AskedTooEarly, BytesForCharacters, CutsTheId, EmptyId, FirstForEver,
    IdAsItIs, LastForAll, NobodyHangsUp, OfAnySeries, ReadsAsksWrites, ServiceAsWell, ToldOnce,
};
use grading::Decoy;
use observability_exercises::metrics::check;
use pooling::{
    FromTheFirstOn, InUseWhileWaiting, LostOnTheWay, NeverAbandoned, NobodyWaits, TakesWhenMade,
    TwoPlaces, WaitsForEver, WaitsInATask,
};
use reading::{
    AGauge, AverageRate, Averaged, ClampsAtZero, ClampsTheQuantile, EmptyIsZero, FirstTwo, Highest,
    InfinityAbove, LastMinusFirst, LowerBound, NearestRank, SinceTheRestart, SumThenRate,
    UpperBound, Weighted, WholeCounts, WholeSeconds, ZeroForNone,
};
use right::Whole;
use telling::{
    ActiveOfAll, BeginsAnew, CountFirst, DebugFormat, DropsTheRest, EmptyLines, InfBound,
    LimitOfRoutes, LooksAndThenAsks, NoEnd, NoInfinity, NoLimit, NotCumulative, OneForAll,
    OneLabelMore, ResetByScrape, RestByStatus, TotalInTheType, TypeForEach, Unescaped, WholeSum,
    WrongOrder,
};

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    grading::decoys![check as Whole;
        LessThan: on_the_bound,
        DefaultBounds: on_the_bound,
        WholeMicros: on_the_bound,
        Milliseconds: cumulative,
        WholeMillis: cumulative,
        NotCumulative: cumulative,
        NoInfinity: cumulative,
        WholeSum: cumulative,
        OnlySuccesses: every_status,
        FailuresUntimed: every_status,
        StatusClass: every_status,
        KnownStatuses: every_status,
        OneOrNone: under_way,
        BeginsWhenMade: lasting,
        EndsWithItsFuture: lasting,
        ReadsAsksWrites: overtaken,
        AfterTheAwait: hung_up_on,
        HangUpUncounted: hung_up_on,
        HangUpIsAnError: hung_up_on,
        EndsUnseen: unwinding,
        PanicIsAHangUp: unwinding,
        GuardBeside: unwinding,
        AnswersThePanic: unwinding,
        RawPath: routes,
        PathForTheLost: routes,
        UserAsLabel: routes,
        ActiveByPath: routes,
        AnyMethod: odd_methods,
        UpperCases: odd_methods,
        NoLimit: limit,
        DropsTheRest: limit,
        BeginsAnew: limit,
        RestByStatus: limit,
        LimitOfRoutes: limit,
        LooksAndThenAsks: last_place,
        Unescaped: escaped,
        DebugFormat: escaped,
        WrongOrder: escaped,
        LastForAll: exemplars,
        AskedAtTheBeginning: exemplars,
        EmptyId: exemplars,
        CutsTheId: exemplars,
        ServiceAsWell: exemplars,
        OfAnySeries: latest,
        FirstForEver: latest,
        IdAsItIs: odd_ids,
        BytesForCharacters: odd_ids,
        AskedTooEarly: at_the_end,
        NobodyHangsUp: at_the_end,
        NoEnd: well_formed,
        TotalInTheType: well_formed,
        TypeForEach: well_formed,
        OneLabelMore: well_formed,
        InfBound: well_formed,
        EmptyLines: well_formed,
        FromTheFirstOn: at_zero,
        ResetByScrape: scraped_twice,
        ToldOnce: scraped_twice,
        OneForAll: apart,
        ActiveOfAll: apart,
        CountFirst: scraped_meanwhile,
        TwoPlaces: places,
        TakesWhenMade: unpolled,
        NobodyWaits: waits,
        InUseWhileWaiting: waits,
        WaitsForEver: gives_up,
        NeverAbandoned: gives_up,
        WaitsInATask: gives_up,
        LostOnTheWay: handed_over,
        LastMinusFirst: restarted,
        ClampsAtZero: restarted,
        SinceTheRestart: restarted,
        AGauge: restarted,
        WholeSeconds: restarted,
        SumThenRate: rates_added,
        AverageRate: rates_added,
        ZeroForNone: rates_added,
        FirstTwo: rates_added,
        Averaged: quantile_of_all,
        Weighted: quantile_of_all,
        Highest: quantile_of_all,
        UpperBound: edges,
        LowerBound: edges,
        InfinityAbove: edges,
        EmptyIsZero: edges,
        ClampsTheQuantile: edges,
        NearestRank: edges,
        WholeCounts: edges,
    ]
}
