//! Wrong answers to the bulkhead, each with the check that must reject it.

mod around;
mod edges;
mod queue;
mod row;
mod service;
mod usual;

use around::{
    CallsOutside, EachCloneItsOwn, FullIsText, GivesBackOnSuccess, NeverAsks, ReadyInTheQueue,
    ReservesWhenAsked, SpawnsTheWork,
};
use circuit_breakers::bulkhead::{Config, Counts, Full};
use circuit_breakers_exercises::bulkhead::check;
use edges::{
    ClockFirst, ClockInTheLoop, CountsInFewerBits, CountsInTwoSteps, OneForEachSize,
    OneQueueForAll, TakesWhenMade, ZeroIsForEver,
};
use grading::Decoy;
use queue::{
    AsksNowAndThen, Barges, GrantLost, HandsToTheGone, LastComeFirst, LooksThenTakes,
    LooksThenWaits, SleepsThroughIt,
};
use row::{AsksAllTheTime, FillsTheGap, FirstWakerOnly, TakesItAlong, TriesTheLock};
use service::{CarefulService, OneAtATime, RefusesWhenAsked, TimesTheAnswer, WaitsAtTheService};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use usual::{Doors, Inside, Usual, Usually};

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    let mut all = grading::decoys![check as Usually;
        LetUnderscore: never_more_than_places,
        StartsMeanwhile: never_more_than_places,
        OneTooFew: every_place_is_used,
        QueueComesFirst: every_place_is_used,
        NoEndOfTheQueue: queue_is_bounded,
        OneTooManyWaits: queue_is_bounded,
        HopesThenRefuses: queue_is_bounded,
        WaitsForEver: longest_wait,
        GoesInWithoutAPlace: longest_wait,
        TimesTheWork: work_is_not_timed,
        GivesBackByHand: dropped_inside,
        NotWhilePanicking: panic_gives_back,
        PlaceGoesFirst: held_until_gone,
        Barges: nobody_overtakes,
        AsksNowAndThen: nobody_overtakes,
        QueueCountedByHand: leaves_the_queue,
        OneForAll: one_for_each,
        ForgetsWhoGaveUp: counts_tell,
        CountsWhoWaits: counts_tell,
        HoldsTheWorkers: stalled_redis,
        PatienceOfItsOwn: wait_is_configured,
        HalfThePatience: wait_is_configured,
        AtLeastOne: no_places,
        AsConfigured: any_size,
        CountsInFewerBits: any_size,
        ZeroIsForEver: no_time_to_wait,
        ClockFirst: no_time_to_wait,
        ClockInTheLoop: wait_has_one_clock,
        OneForEachSize: one_for_each,
        OneQueueForAll: one_for_each,
        CountsInTwoSteps: threads_go,
    ];
    all.extend(grading::decoys![check;
        LastComeFirst: served_in_order,
        HandsToTheGone: gone_waiter_gets_no_place,
        GrantLost: granted_and_gone,
        LooksThenTakes: threads_take_places,
        LooksThenWaits: threads_queue,
        SleepsThroughIt: threads_pass,
        FillsTheGap: served_in_order,
        FirstWakerOnly: woken_elsewhere,
        AsksAllTheTime: waits_at_rest,
        TakesItAlong: granted_and_late,
        TriesTheLock: threads_go,
        TakesWhenMade: made_holds_nothing,
        EachCloneItsOwn: clones_share,
        OneAtATime: clones_share,
        RefusesWhenAsked: ready_holds_nothing,
        TimesTheAnswer: service_waits,
        WaitsAtTheService: service_waits,
        CarefulService: service_that_panics,
        ReservesWhenAsked: ready_holds_nothing,
        ReadyInTheQueue: queue_holds_nothing,
        CallsOutside: called_only_inside,
        NeverAsks: ready_one_is_called,
        FullIsText: errors_are_typed,
        SpawnsTheWork: work_goes_with_its_caller,
        GivesBackOnSuccess: redis_that_dies,
    ]);
    all
}

/// An unbounded queue, as a pool of connections has it that waits for a connection: the wait is
/// over soon, as a rule. When the dependency hangs, who waits for it holds a worker, until there is
/// none for anybody. Rejected by `stalled_redis`.
struct HoldsTheWorkers;

impl Usual for HoldsTheWorkers {
    fn open(config: Config) -> Doors {
        Doors::of(config, config.places, 1_000_000)
    }
}

/// `let _ = permit`, which drops it at once; `let _permit = permit` would not. The compiler is
/// silent, and so is every test with one caller. Rejected by `never_more_than_places`.
struct LetUnderscore;

impl Usual for LetUnderscore {
    async fn run<F: Future<Output: Send> + Send>(
        doors: &Doors,
        call: F,
    ) -> Result<F::Output, Full> {
        let _ = Self::enter(doors).await?;
        Ok(call.await)
    }
}

/// Saves time: while it waits for a place, the call may already begin. Rejected by
/// `never_more_than_places`.
struct StartsMeanwhile;

impl Usual for StartsMeanwhile {
    async fn run<F: Future<Output: Send> + Send>(
        doors: &Doors,
        call: F,
    ) -> Result<F::Output, Full> {
        let (inside, value) = tokio::join!(Self::enter(doors), call);
        inside.map(|_| value)
    }
}

/// `inside < places - 1`, from a time when the count was taken before it was raised. Rejected by
/// `every_place_is_used`.
struct OneTooFew;

impl Usual for OneTooFew {
    fn open(config: Config) -> Doors {
        Doors::of(config, config.places - 1, config.places + config.queue)
    }
}

/// First into the queue, then to a place, as at a counter. Where nobody may wait, nobody gets in
/// any more, though all places are free. Rejected by `every_place_is_used`.
struct QueueComesFirst;

impl Usual for QueueComesFirst {
    fn open(config: Config) -> Doors {
        Doors::of(config, config.places, config.queue)
    }
}

/// A semaphore and nothing else. Its queue grows as fast as callers come, and each of them holds
/// its request. Rejected by `queue_is_bounded`.
struct NoEndOfTheQueue;

impl Usual for NoEndOfTheQueue {
    fn open(config: Config) -> Doors {
        Doors::of(config, config.places, 1_000_000)
    }
}

/// `waiting > queue` where it had to be `>=`. Rejected by `queue_is_bounded`.
struct OneTooManyWaits;

impl Usual for OneTooManyWaits {
    fn open(config: Config) -> Doors {
        Doors::of(config, config.places, config.places + config.queue + 1)
    }
}

/// Where the queue is full, waits for a while before it says no: perhaps somebody goes. So there is
/// a second queue, without a bound. Rejected by `queue_is_bounded`.
struct HopesThenRefuses;

impl Usual for HopesThenRefuses {
    async fn ticket(doors: &Doors) -> Result<OwnedSemaphorePermit, Full> {
        let ticket = Arc::clone(&doors.tickets).acquire_owned();
        match tokio::time::timeout(doors.config.longest_wait, ticket).await {
            Ok(ticket) => ticket.map_err(|_| Full::Queue),
            Err(_) => Err(Full::Queue),
        }
    }
}

/// The queue is bounded, so what could go wrong? A dependency that hangs: the first few wait for
/// ever. Rejected by `longest_wait`.
struct WaitsForEver;

impl Usual for WaitsForEver {
    async fn place(doors: &Doors) -> Result<OwnedSemaphorePermit, Full> {
        Ok(doors.wait().await)
    }
}

/// Kind to its callers: who has waited for so long is let in. On the day on which everybody waits
/// there is no bulkhead. Rejected by `longest_wait`.
struct GoesInWithoutAPlace;

impl Usual for GoesInWithoutAPlace {
    async fn run<F: Future<Output: Send> + Send>(
        doors: &Doors,
        call: F,
    ) -> Result<F::Output, Full> {
        let _inside = match Self::enter(doors).await {
            Err(Full::Queue) => return Err(Full::Queue),
            inside => inside,
        };
        Ok(call.await)
    }
}

/// One timeout around all of it. It is called "wait", and it ends calls that are nearly done.
/// Rejected by `work_is_not_timed`.
struct TimesTheWork;

impl Usual for TimesTheWork {
    async fn run<F: Future<Output: Send> + Send>(
        doors: &Doors,
        call: F,
    ) -> Result<F::Output, Full> {
        let longest = doors.config.longest_wait;
        let all = async {
            let _inside = Self::enter(doors).await?;
            Ok(call.await)
        };
        tokio::time::timeout(longest, all).await.unwrap_or(Err(Full::Waited(longest)))
    }
}

/// Gives the place back in the line after the call. A caller that goes away never comes to that
/// line, and each timeout costs a place for ever. Rejected by `dropped_inside`.
struct GivesBackByHand;

impl Usual for GivesBackByHand {
    async fn run<F: Future<Output: Send> + Send>(
        doors: &Doors,
        call: F,
    ) -> Result<F::Output, Full> {
        let inside = Self::enter(doors).await?;
        inside.forget();
        let value = call.await;
        doors.tickets.add_permits(1);
        doors.places.add_permits(1);
        Ok(value)
    }
}

/// A guard that keeps out of the way of a panic, so as not to panic a second time. Rejected by
/// `panic_gives_back`.
struct NotWhilePanicking;

struct Careful(Option<Inside>);

impl Drop for Careful {
    fn drop(&mut self) {
        if let Some(inside) = self.0.take().filter(|_| std::thread::panicking()) {
            inside.forget();
        }
    }
}

impl Usual for NotWhilePanicking {
    async fn run<F: Future<Output: Send> + Send>(
        doors: &Doors,
        call: F,
    ) -> Result<F::Output, Full> {
        let _inside = Careful(Some(Self::enter(doors).await?));
        Ok(call.await)
    }
}

/// The place lies in the same future as the call, and is named after it, so that it is dropped
/// before it. While the call is still closing its connection, the next one opens another. Rejected
/// by `held_until_gone`.
struct PlaceGoesFirst;

impl Usual for PlaceGoesFirst {
    async fn run<F: Future<Output: Send> + Send>(
        doors: &Doors,
        call: F,
    ) -> Result<F::Output, Full> {
        let mut call = std::pin::pin!(call);
        let _inside = Self::enter(doors).await?;
        Ok(call.as_mut().await)
    }
}

/// Adds one before it waits and takes one off afterwards. Who goes away in between is counted for
/// ever, and after some timeouts the queue is full of nobody. Rejected by `leaves_the_queue`.
struct QueueCountedByHand;

struct OneOff(Arc<Semaphore>);

impl Drop for OneOff {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

impl Usual for QueueCountedByHand {
    async fn run<F: Future<Output: Send> + Send>(
        doors: &Doors,
        call: F,
    ) -> Result<F::Output, Full> {
        Self::ticket(doors).await?.forget();
        let place = Self::place(doors).await;
        let _ticket = OneOff(Arc::clone(&doors.tickets));
        let _place = place?;
        Ok(call.await)
    }
}

/// One bulkhead for the process, so that it never has more than so many calls under way. The slow
/// dependency takes all of them. Rejected by `one_for_each`.
struct OneForAll;

impl Usual for OneForAll {
    fn open(config: Config) -> Doors {
        static ALL: OnceLock<Doors> = OnceLock::new();
        ALL.get_or_init(|| Doors::usual(config)).clone()
    }
}

/// Counts those whom it turned away at the door, and not those who gave up behind it: the dashboard
/// is green while nobody is served. Rejected by `counts_tell`.
struct ForgetsWhoGaveUp;

impl Usual for ForgetsWhoGaveUp {
    fn refuses(full: Full) -> bool {
        full == Full::Queue
    }
}

/// Takes everybody who has come for somebody who is inside. Rejected by `counts_tell`.
struct CountsWhoWaits;

impl Usual for CountsWhoWaits {
    fn counts(counts: Counts) -> Counts {
        Counts { inside: counts.inside + counts.waiting, ..counts }
    }
}

/// A second is a good time to wait, whatever was configured; and it says what was. Rejected by
/// `wait_is_configured`.
struct PatienceOfItsOwn;

impl Usual for PatienceOfItsOwn {
    async fn place(doors: &Doors) -> Result<OwnedSemaphorePermit, Full> {
        let place = tokio::time::timeout(Duration::from_secs(1), doors.wait()).await;
        place.map_err(|_| Full::Waited(doors.config.longest_wait))
    }
}

/// Half of the time for the queue, half for the call, somebody thought. Rejected by
/// `wait_is_configured`.
struct HalfThePatience;

impl Usual for HalfThePatience {
    async fn place(doors: &Doors) -> Result<OwnedSemaphorePermit, Full> {
        let longest = doors.config.longest_wait;
        let place = tokio::time::timeout(longest / 2, doors.wait()).await;
        place.map_err(|_| Full::Waited(longest))
    }
}

/// Nobody can have meant none. Somebody did, to take a dependency out of service, and it gets calls
/// one by one. Rejected by `no_places`.
struct AtLeastOne;

impl Usual for AtLeastOne {
    fn open(config: Config) -> Doors {
        Doors::usual(Config { places: config.places.max(1), ..config })
    }
}

/// Adds the queue to the places, whatever they are. `usize::MAX` was meant for "no limit", and the
/// process does not start. Rejected by `any_size`.
struct AsConfigured;

impl Usual for AsConfigured {
    fn open(config: Config) -> Doors {
        Doors::of(config, config.places, config.places + config.queue)
    }
}
