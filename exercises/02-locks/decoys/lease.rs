//! Wrong answers to the lease, as people write them in good faith. The head of each says what is
//! wrong and which check finds out.

mod acquiring;
mod drawing;
mod holding;
mod plain;

use acquiring::*;
use drawing::*;
use grading::Decoy;
use holding::*;
use locks_exercises::lease::check;

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    grading::decoys![check;
        GetThenSet: one_holder,
        NoPatience: one_holder,
        SetnxThenExpire: ttl_at_every_step,
        LockForEver: killed_holder,
        SameTokenForAll: late_release,
        DelWithoutToken: late_release,
        GetCompareDel: late_release,
        ReleaseSaysOk: late_release,
        ExtendWithoutCompare: extend_only_mine,
        LostOnlyAtExtend: lost_before_ttl,
        CountsFromTheReply: lost_before_ttl,
        LostForGood: extend_moves_the_end,
        FreshTokenEachAttempt: lost_reply,
        NothingOnCancel: cancelled_acquire,
        KeepsTheLateYes: impatient_acquire,
        ErrorIsBusy: redis_stalls,
        BusyLoop: waits_politely,
        NothingOnDrop: drop_gives_back,
        DropBlocks: drop_does_not_block,
        DropWithoutToken: late_release,
        CountsInProcess: tokens_rise,
        CountsInRedis: tokens_rise,
        ClientClock: tokens_in_order,
        TokenAfterwards: tokens_in_order,
        EvalshaAlone: script_flush,
        ConnectsOnce: killed_connection,
        AlarmWhenCalled: extend_moves_the_end,
        LostByTheClockAlone: extend_only_mine,
        ExtendsOnTrust: extend_moves_the_end,
        ExtendRevives: extend_only_mine,
        LostAtHalf: extend_moves_the_end,
        OwnerOfAll: one_holder,
        WholeSeconds: lasts_its_ttl,
        OverflowsForEver: waits_politely,
        YesTooLate: lost_before_ttl,
        ClientClockInScript: tokens_in_order,
    ]
}
