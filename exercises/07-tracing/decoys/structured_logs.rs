//! Wrong answers to structured logs, as people write them in good faith. The head of each says what
//! is wrong and which check finds out.

mod hiding;
mod looking;
mod naming;
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
use looking::{
    AnyFirstDigit, AnyGroups, CommasArePoints, GoesOn, LargeAsTheyAre, OldTables,
    TakesIdsAsTheyAre, ThreeParts, TokensHaveDigits, UnsignedOnly,
};
use naming::{
    AboutAnywhere, DigitsAreLetters, DoubleQuotesOnly, ErrorsByLook, NamesWithoutBrackets,
    OnlyTheNextWord, OnlyWhatIsSent, PatternsInTexts, ThoseThatComeToMind, UpToTheSpace,
};
use observability_exercises::structured_logs::check;
use right::Whole;
use shape::{
    AllInTheMessage, AllIsText, ByHand, DebugOfAll, Flattened, JustJson, JustNumbers, LastMessage,
    LineEndsOnly, NanIsNan, NanIsNull, Narrows, OneTooFar, OnlyFormatted, OnlySixteen,
    ReadsNumbers, Rounds, Strips, TheFamousOnes, TrustsTheId, Wraps,
};
use wanting::{
    AllOrNothing, AtRestart, ByTheLetters, Closes, ExactTarget, FirstWins, HalfAChange, LastWins,
    LooksFirst, NamesAll, OneForAll, OnlyTheOneBefore, OnlyWider, Opens, Skips, SmallTargets,
    TwiceLast, UpToTheWord, WordsAreTargets,
};
use writing::{
    AsksForEver, Buffered, Cuts, CutsEachSource, CutsFirst, CutsIfShorter, CutsSilently,
    DropsTheLine, HoldsTheLevel, HoldsWhilePrinting, InPieces, LetsItPanic, LineAndEnd, NeverCuts,
    NoMoreThanOnce, OnceMore, TellsHalf, TrimsDigits, TrustsErrors, TrustsSources, Unwraps,
};

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    grading::decoys![check as Whole;
        ByHand: one_object,
        AllInTheMessage: one_object,
        OnlyFormatted: one_object,
        OnlySixteen: one_object,
        AllIsText: typed,
        DebugOfAll: typed,
        ReadsNumbers: typed,
        Narrows: typed,
        NanIsNull: odd_numbers,
        NanIsNan: odd_numbers,
        JustNumbers: odd_numbers,
        Rounds: odd_numbers,
        Wraps: odd_numbers,
        OneTooFar: odd_numbers,
        JustJson: no_second_line,
        LineEndsOnly: no_second_line,
        Strips: no_second_line,
        TheFamousOnes: no_second_line,
        TrustsTheId: no_second_line,
        Flattened: own_names,
        LastMessage: own_names,
        ExactNames: by_name,
        SmallLetters: by_name,
        TopOnly: by_name,
        TextsOnly: by_name,
        Stars: by_name,
        ThoseThatComeToMind: by_name,
        AboutAnywhere: by_name,
        DigitsAreLetters: by_name,
        NamesByLetters: harmless,
        HidesIds: harmless,
        AnySixteenDigits: harmless,
        OnlyTheNextWord: harmless,
        PatternsInTexts: harmless,
        AnyFirstDigit: harmless,
        AnyGroups: harmless,
        GoesOn: harmless,
        TheWholeText: emails,
        MessageOnly: emails,
        FieldsOnly: emails,
        FirstOnly: emails,
        EnglishOnly: emails,
        TakesIdsAsTheyAre: emails,
        DigitsInARow: cards,
        SixteenDigits: cards,
        CardsInTextOnly: cards,
        OldTables: cards,
        CommasArePoints: cards,
        LargeAsTheyAre: cards,
        UnsignedOnly: cards,
        LeavesUrls: credentials,
        LeavesTokens: credentials,
        TokensHaveDigits: credentials,
        ThreeParts: credentials,
        LooksOnly: in_a_debug,
        JsonOnly: in_a_debug,
        OnlyTheFirstWord: in_a_debug,
        UpToTheSpace: in_a_debug,
        DoubleQuotesOnly: in_a_debug,
        NamesWithoutBrackets: in_a_debug,
        OnlyWhatIsSent: in_a_debug,
        ErrorsAsTheyAre: in_an_error,
        OnlyTheError: in_an_error,
        ErrorsByLook: in_an_error,
        NeverCuts: cut,
        Cuts: cut,
        CutsFirst: cut,
        CutsSilently: cut,
        CutsIfShorter: cut,
        CutsEachSource: cut,
        TrimsDigits: cut,
        LetsItPanic: unprintable,
        TrustsErrors: unprintable,
        DropsTheLine: unprintable,
        TellsHalf: unprintable,
        TrustsSources: unprintable,
        LooksFirst: unwanted,
        FirstWins: most_specific,
        LastWins: most_specific,
        ByTheLetters: most_specific,
        ExactTarget: most_specific,
        SmallTargets: most_specific,
        UpToTheWord: most_specific,
        AtRestart: changed,
        OnlyWider: changed,
        AllOrNothing: changed,
        OneForAll: changed,
        Opens: bad_directive,
        Closes: bad_directive,
        Skips: bad_directive,
        HalfAChange: bad_directive,
        NamesAll: bad_directive,
        WordsAreTargets: bad_directive,
        TwiceLast: bad_directive,
        OnlyTheOneBefore: bad_directive,
        LineAndEnd: one_write,
        InPieces: one_write,
        Buffered: one_write,
        Unwraps: broken_writer,
        NoMoreThanOnce: broken_writer,
        AsksForEver: broken_writer,
        OnceMore: broken_writer,
        HoldsTheLevel: stuck,
        HoldsWhilePrinting: slow_value,
    ]
}
