//! Wrong answers to structured logs, as people write them in good faith. The head of each says what
//! is wrong and which check finds out.

mod hiding;
mod right;
mod shape;
mod wanting;
mod writing;

use grading::Decoy;
use hiding::{
    AnySixteenDigits, CardsInTextOnly, DigitsInARow, EnglishOnly, ErrorsAsTheyAre, ExactNames,
    FieldsOnly, FirstOnly, HidesIds, JsonOnly, LeavesTokens, LeavesUrls, LooksOnly, MessageOnly,
    NamesByLetters, OnlyTheError, OnlyTheFirstWord, SixteenDigits, SmallLetters, Stars, TextsOnly,
    TheWholeText, TopOnly,
};
use observability_exercises::structured_logs::check;
use right::Whole;
use shape::{
    AllInTheMessage, AllIsText, ByHand, DebugOfAll, Flattened, JustJson, JustNumbers, LastMessage,
    LineEndsOnly, NanIsNan, NanIsNull, ReadsNumbers, Rounds, Strips, Wraps,
};
use wanting::{
    AllOrNothing, AtRestart, ByTheLetters, Closes, ExactTarget, FirstWins, HalfAChange, LastWins,
    LooksFirst, NamesAll, OnlyWider, Opens, Skips, WordsAreTargets,
};
use writing::{
    Cuts, CutsFirst, CutsSilently, DropsTheLine, HoldsTheLevel, InPieces, LetsItPanic, LineAndEnd,
    NeverCuts, NoMoreThanOnce, TellsHalf, TrustsErrors, Unwraps,
};

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    grading::decoys![check as Whole;
        ByHand: one_object,
        AllInTheMessage: one_object,
        AllIsText: typed,
        DebugOfAll: typed,
        ReadsNumbers: typed,
        NanIsNull: odd_numbers,
        NanIsNan: odd_numbers,
        JustNumbers: odd_numbers,
        Rounds: odd_numbers,
        Wraps: odd_numbers,
        JustJson: no_second_line,
        LineEndsOnly: no_second_line,
        Strips: no_second_line,
        Flattened: own_names,
        LastMessage: own_names,
        ExactNames: by_name,
        SmallLetters: by_name,
        TopOnly: by_name,
        TextsOnly: by_name,
        Stars: by_name,
        NamesByLetters: harmless,
        HidesIds: harmless,
        AnySixteenDigits: harmless,
        TheWholeText: emails,
        MessageOnly: emails,
        FieldsOnly: emails,
        FirstOnly: emails,
        EnglishOnly: emails,
        DigitsInARow: cards,
        SixteenDigits: cards,
        CardsInTextOnly: cards,
        LeavesUrls: credentials,
        LeavesTokens: credentials,
        LooksOnly: in_a_debug,
        JsonOnly: in_a_debug,
        OnlyTheFirstWord: in_a_debug,
        ErrorsAsTheyAre: in_an_error,
        OnlyTheError: in_an_error,
        NeverCuts: cut,
        Cuts: cut,
        CutsFirst: cut,
        CutsSilently: cut,
        LetsItPanic: unprintable,
        TrustsErrors: unprintable,
        DropsTheLine: unprintable,
        TellsHalf: unprintable,
        LooksFirst: unwanted,
        FirstWins: most_specific,
        LastWins: most_specific,
        ByTheLetters: most_specific,
        ExactTarget: most_specific,
        AtRestart: changed,
        OnlyWider: changed,
        AllOrNothing: changed,
        Opens: bad_directive,
        Closes: bad_directive,
        Skips: bad_directive,
        HalfAChange: bad_directive,
        NamesAll: bad_directive,
        WordsAreTargets: bad_directive,
        LineAndEnd: one_write,
        InPieces: one_write,
        Unwraps: broken_writer,
        NoMoreThanOnce: broken_writer,
        HoldsTheLevel: stuck,
    ]
}
