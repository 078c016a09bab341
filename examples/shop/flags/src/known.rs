//! The one table of all switches. A topic that brings a pattern or a fault adds a line.

/// What the table says of one flag.
#[derive(Debug)]
pub struct Known {
    /// The flag's key, such as `fault.payment`.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub description: &'static str,
    /// The names of its variants. Their values are the names again, as strings.
    pub variants: &'static [&'static str],
    /// The place among the variants of the one that holds where nobody said anything.
    pub default: usize,
}

/// A flag as a type: an enum of its variants. Implemented by the table, and nowhere else.
pub trait Switch: Copy + private::Sealed + 'static {
    /// The place of the flag in [`KNOWN`].
    const PLACE: usize;

    /// The place of this variant among those of the flag.
    fn index(self) -> usize;

    /// The variant at a place.
    ///
    /// # Panics
    /// If the flag has fewer variants.
    fn at(index: usize) -> Self;

    /// The variant of this name, if the flag has one.
    fn named(name: &str) -> Option<Self> {
        KNOWN[Self::PLACE].variant(name).map(Self::at)
    }
}

mod private {
    pub trait Sealed {}
}

macro_rules! switches {
    ($($name:literal => $switch:ident {
        $($word:literal $variant:ident),+
    } = $default:ident, $description:literal;)+) => {
        $(
            #[doc = concat!("`", $name, "`: ", $description)]
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum $switch {
                $(#[doc = concat!("`", $word, "`")] $variant),+
            }

            impl private::Sealed for $switch {}

            impl Switch for $switch {
                const PLACE: usize = Place::$switch as usize;

                fn index(self) -> usize {
                    self as usize
                }

                fn at(index: usize) -> Self {
                    [$(Self::$variant),+][index]
                }
            }
        )+

        enum Place {
            $($switch),+
        }

        /// The table, in the order of its lines.
        pub static KNOWN: &[Known] = &[$(Known {
            name: $name,
            description: $description,
            variants: &[$($word),+],
            default: $switch::$default as usize,
        }),+];
    };
}

switches! {
    "pattern.cache" => PatternCache { "off" Off, "cache_aside" CacheAside, "stampede" Stampede } = Stampede,
        "How the catalogue is read: from the database each time, through a cache, or through a cache that lets one reader refill it.";
    "pattern.lock" => PatternLock { "none" None, "lease" Lease, "fencing" Fencing, "lua" Lua, "conditional" Conditional } = Conditional,
        "What keeps the last piece from being sold twice: nothing, a lease in Redis, a lease whose token the stock checks, a script in Redis in front of the database, or the condition in the UPDATE.";
    "pattern.limiter" => PatternLimiter { "off" Off, "gcra" Gcra } = Gcra,
        "How much one client may ask of the gateway: without end, or a quota for each user, API key or address.";
    "pattern.breaker" => PatternBreaker { "off" Off, "on" On } = On,
        "Whether a service stops asking another that does not answer, and finds out by a few probes when it does again.";
    "pattern.retry" => PatternRetry { "off" Off, "naive" Naive, "budget" Budget } = Budget,
        "Whether one service asks another once more: never, at once and at two layers, or with backoff, jitter and a budget, where that is safe.";
    "pattern.timeout" => PatternTimeout { "off" Off, "deadline" Deadline } = Deadline,
        "How long a request may take: a time limit of its own at each hop, or one deadline that travels with it.";
    "pattern.bulkhead" => PatternBulkhead { "off" Off, "on" On } = On,
        "Whether each service that is asked has so many places at its caller, and can take no more.";
    "pattern.async" => PatternAsync { "off" Off, "on" On } = Off,
        "When a checkout is answered: when the order is confirmed, or at once, while a saga brings it to its end.";
    "pattern.saga" => PatternSaga { "off" Off, "on" On } = On,
        "What brings an order to its end that was answered at once: a task in memory that asks each service once and hopes, or a saga with a journal.";
    "pattern.outbox" => PatternOutbox { "off" Off, "on" On } = On,
        "How a service tells what it has done: straight after the commit, or in the transaction itself, for a relay to publish.";
    "pattern.inbox" => PatternInbox { "off" Off, "on" On } = On,
        "Whether a service that hears the same event twice notices.";
    "pattern.idempotency" => PatternIdempotency { "off" Off, "on" On } = On,
        "Whether the same Idempotency-Key is the same order, or each request is a new one.";
    "pattern.tracing" => PatternTracing { "off" Off, "tenth" Tenth, "full" Full } = Full,
        "How many requests leave a trace: none, every tenth, or all of them.";
    "fault.payment" => FaultPayment { "off" Off, "slow" Slow, "decline" Decline, "error" Error, "hang" Hang, "flaky" Flaky } = Off,
        "What is wrong with the payment provider: it takes longer, says no, is out of order, charges and never answers, or is out of order for 30 of 100 calls.";
    "fault.email" => FaultEmail { "off" Off, "slow" Slow, "error" Error, "hang" Hang, "flaky" Flaky } = Off,
        "What is wrong with the mail server: it takes longer, is out of order, delivers and never answers, or is out of order for 30 of 100 letters.";
    "fault.catalog_db" => FaultCatalogDb { "off" Off, "slow" Slow } = Off,
        "What is wrong with the catalogue's database: each read of a product takes 200 ms longer.";
    "fault.orders.crash" => FaultOrdersCrash {
        "off" Off,
        "before_reserve" BeforeReserve, "lost_reserve" LostReserve, "after_reserve" AfterReserve,
        "before_charge" BeforeCharge, "lost_charge" LostCharge, "after_charge" AfterCharge,
        "before_confirm" BeforeConfirm, "lost_confirm" LostConfirm, "after_confirm" AfterConfirm,
        "before_empty" BeforeEmpty, "lost_empty" LostEmpty, "after_empty" AfterEmpty,
        "before_release" BeforeRelease, "lost_release" LostRelease, "after_release" AfterRelease,
        "before_refund" BeforeRefund, "lost_refund" LostRefund, "after_refund" AfterRefund
    } = Off,
        "Where the process of the orders service ends itself, in a checkout that is a saga: before a step, after its effect and before its answer, or after its entry in the journal.";
    "fault.service" => FaultService {
        "off" Off,
        "gateway" Gateway, "catalog" Catalog, "users" Users, "carts" Carts, "orders" Orders,
        "inventory" Inventory, "payments" Payments, "notifications" Notifications
    } = Off,
        "Which service has become slow: each request that it answers takes 300 ms longer.";
    "fault.cache" => FaultCache { "off" Off, "down" Down } = Off,
        "What is wrong with the cache: it does not answer.";
}

/// The line of a flag, and its place in the table.
pub(crate) fn find(name: &str) -> Option<(usize, &'static Known)> {
    KNOWN.iter().enumerate().find(|(_, known)| known.name == name)
}

impl Known {
    /// The place of a variant.
    pub(crate) fn variant(&self, name: &str) -> Option<usize> {
        self.variants.iter().position(|variant| *variant == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_of_a_known_kind() {
        let names: HashSet<_> = KNOWN.iter().map(|known| known.name).collect();
        assert_eq!(names.len(), KNOWN.len());
        for known in KNOWN {
            let kind = known.name.split_once('.').map(|(kind, _)| kind);
            assert!(matches!(kind, Some("pattern" | "fault")), "{}", known.name);
            let variants: HashSet<_> = known.variants.iter().collect();
            assert_eq!(variants.len(), known.variants.len(), "{}", known.name);
            assert!(known.description.ends_with('.'), "{}", known.name);
        }
    }

    #[test]
    fn every_fault_is_off_unless_somebody_wants_it() {
        for known in KNOWN.iter().filter(|known| known.name.starts_with("fault.")) {
            assert_eq!(known.variants[known.default], "off", "{}", known.name);
        }
    }

    #[test]
    fn types_and_table_agree() {
        assert_eq!(KNOWN[FaultPayment::PLACE].name, "fault.payment");
        assert_eq!(KNOWN[FaultPayment::PLACE].variants[FaultPayment::Hang.index()], "hang");
        assert_eq!(FaultPayment::at(FaultPayment::Hang.index()), FaultPayment::Hang);
        assert_eq!(FaultPayment::named("hang"), Some(FaultPayment::Hang));
        assert_eq!(FaultPayment::named("Hang"), None);
    }
}
