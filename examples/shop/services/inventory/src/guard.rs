//! What keeps the last piece from being sold twice: the switch `pattern.lock`.
//!
//! | variant | who decides | what becomes of a buyer who is stopped in the middle |
//! | --- | --- | --- |
//! | `none` | whoever writes last | writes back what he saw before: what others bought is for sale again |
//! | `lease` | who holds the lease in Redis: lesson 02.2 | the same, once his lease has run out |
//! | `fencing` | the lease, and the row has the last word: lesson 02.4 | his write is refused, and he begins again |
//! | `lua` | a script in Redis, and the row has the last word: lesson 02.6 | nobody is harmed, his piece waits for him |
//! | `conditional` | the row: lesson 02.6 | nobody is harmed |
//!
//! `none` and `lease` are there to be seen failing, in `shop compare lock`. They break the books:
//! more is sold than was delivered. `CHECK (available >= 0)` does not help, for what they write back
//! is an old number and not a negative one.
//!
//! # Whose word counts
//!
//! Always the database's. With `lua`, Redis has a copy of what is available, for a minute at most,
//! and turns away whoever comes when it is used up, which spares the database the crowd. Who is let
//! in still takes his pieces by the conditional `UPDATE`. So a Redis that is lost, empty, or
//! promoted with an old copy costs refusals or work, and sells nothing twice. Where it does not
//! answer, the database decides alone.
//!
//! `lease` and `fencing` cannot do without Redis: where it does not answer, nobody can reserve.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use locks::lease::{self, RedisLease};
use locks::lock_free::{self, Answer, ScriptStock, Stock};
use shop_contracts::id::{OrderId, ProductId};
use shop_contracts::{Kind, Quantity};
use shop_flags::{Flags, PatternLock};
use shop_service::Failure;

use crate::Inventory;
use crate::leases::{HeldLease, Leases, OpenLeases};
use crate::store::{Reserved, Seen, Take};

/// How long Redis keeps a copy of what is available. What a buyer took there and never came for in
/// the database is for sale again after this.
const COPY: Duration = Duration::from_secs(60);

/// How often a buyer whose lease ran out begins again.
const ATTEMPTS: usize = 3;

/// How the stock is guarded.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a lease lasts. Longer than a reservation takes.
    pub ttl: Duration,
    /// How long a buyer waits for the lease.
    pub patience: Duration,
    /// Whose leases: the reference's, or a learner's own.
    pub leases: OpenLeases,
    /// What a buyer does between looking and taking.
    pub think: Think,
}

impl Default for Options {
    fn default() -> Options {
        let seconds = Duration::from_secs;
        Options {
            ttl: seconds(5),
            patience: seconds(3),
            leases: Leases::open::<RedisLease>,
            think: Think::default(),
        }
    }
}

/// What a buyer does between looking and taking: nothing, as a rule. A comparison stops one there,
/// as a pause of his process would.
#[derive(Clone, Default)]
pub struct Think(Option<Arc<Thinking>>);

type Thinking = dyn Fn(OrderId) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

impl Think {
    /// Waits for what `thinking` returns.
    pub fn by<F>(thinking: impl Fn(OrderId) -> F + Send + Sync + 'static) -> Think
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Think(Some(Arc::new(move |order| Box::pin(thinking(order)))))
    }

    async fn over(&self, order: OrderId) {
        if let Some(thinking) = &self.0 {
            thinking(order).await;
        }
    }
}

impl fmt::Debug for Think {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Think(stops some)" } else { "Think(nothing)" })
    }
}

/// The switch, and what its variants need.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    pub(crate) flags: Flags,
    options: Options,
    redis: Option<OnRedis>,
}

#[derive(Clone, Debug)]
struct OnRedis {
    leases: Leases,
    counts: ScriptStock,
}

impl Guard {
    /// With the Redis at `redis`, or without one: then what needs it is ruled out.
    pub(crate) fn open(flags: Flags, redis: Option<&str>, options: Options) -> Guard {
        let redis = redis.and_then(|url| match OnRedis::open(url, &options) {
            Ok(redis) => Some(redis),
            Err(error) => {
                // The cache, which is at the same place, has been opened already.
                tracing::error!(%error, "no locks on this Redis");
                None
            }
        });
        if redis.is_none() {
            let need_it = [PatternLock::Lease, PatternLock::Fencing, PatternLock::Lua];
            flags.rule_out(
                &need_it,
                "it needs Redis, and this shop has none; next: cargo run -p shop -- up --real",
            );
        }
        Guard { flags, options, redis }
    }

    fn redis(&self) -> Result<&OnRedis, Failure> {
        let none =
            || Failure::new(Kind::Unavailable, "pattern.lock needs Redis, and there is none");
        self.redis.as_ref().ok_or_else(none)
    }
}

impl OnRedis {
    fn open(url: &str, options: &Options) -> Result<OnRedis, lock_free::Error> {
        let of_leases = lease::Options { ttl: options.ttl, ..lease::Options::default() };
        let leases = (options.leases)(url, of_leases)?;
        Ok(OnRedis { leases, counts: ScriptStock::open(url, lock_free::Options::default())? })
    }
}

/// What an order wants, in the order of the products' ids.
type Lines = BTreeMap<ProductId, Quantity>;

impl Inventory {
    /// Holds all of `lines` or none of them, guarded as the switch says.
    pub(crate) async fn reserve(&self, order: OrderId, lines: &Lines) -> Result<Reserved, Failure> {
        let lock = self.guard.flags.get::<PatternLock>();
        // What an order was told stays so, whoever guards the stock by now, and however little of
        // it is left.
        if lock != PatternLock::Conditional && self.is_known(order).await? {
            return Ok(self.hold(order, lines, Take::IfEnough).await?);
        }
        // ANCHOR: switch
        match lock {
            PatternLock::None => self.look_and_take(order, lines).await,
            PatternLock::Lease => {
                let held = self.leases(lines).await?;
                let reserved = self.look_and_take(order, lines).await;
                give_back(held).await;
                reserved
            }
            PatternLock::Fencing => self.fenced(order, lines).await,
            PatternLock::Lua => self.by_script(order, lines).await,
            PatternLock::Conditional => {
                self.guard.options.think.over(order).await;
                Ok(self.hold(order, lines, Take::IfEnough).await?)
            }
        }
        // ANCHOR_END: switch
    }

    /// Looks, thinks, and writes down what it saw less what it takes. Wrong, unless nobody else can
    /// come in between.
    async fn look_and_take(&self, order: OrderId, lines: &Lines) -> Result<Reserved, Failure> {
        let mut seen = Seen::new();
        for (&product, &wanted) in lines {
            match self.stock(product).await? {
                None => return Ok(Reserved::Unknown(product)),
                Some(stock) if stock.available < i64::from(wanted) => {
                    return Ok(Reserved::TooFew { product, available: stock.available });
                }
                Some(stock) => seen.insert(product, stock.available),
            };
        }
        // To ask here whether the lease still stands would not help: the pause fits behind the
        // question.
        self.guard.options.think.over(order).await;
        Ok(self.hold(order, lines, Take::DownFrom(&seen)).await?)
    }

    /// The same under a lease whose token the row looks at.
    async fn fenced(&self, order: OrderId, lines: &Lines) -> Result<Reserved, Failure> {
        for _ in 0..ATTEMPTS {
            let held = self.leases(lines).await?;
            let reserved = self.look_and_take_fenced(order, lines, &held).await;
            give_back(held).await;
            match reserved? {
                Reserved::Late => {}
                reserved => return Ok(reserved),
            }
        }
        let detail = format!("others were faster, {ATTEMPTS} times in a row; ask again");
        Err(Failure::new(Kind::Unavailable, detail))
    }

    async fn look_and_take_fenced(
        &self,
        order: OrderId,
        lines: &Lines,
        held: &BTreeMap<ProductId, HeldLease>,
    ) -> Result<Reserved, Failure> {
        let (mut seen, mut tokens) = (Seen::new(), Seen::new());
        for (&product, &wanted) in lines {
            let token = held.get(&product).map_or(0, HeldLease::token);
            // Only the first of those that this column cannot hold may write.
            let token = i64::try_from(token).unwrap_or(i64::MAX);
            match self.look_fenced(product, token).await? {
                None if self.stock(product).await?.is_none() => {
                    return Ok(Reserved::Unknown(product));
                }
                None => return Ok(Reserved::Late),
                Some(available) if available < i64::from(wanted) => {
                    return Ok(Reserved::TooFew { product, available });
                }
                Some(available) => seen.insert(product, available),
            };
            tokens.insert(product, token);
        }
        self.guard.options.think.over(order).await;
        Ok(self.hold(order, lines, Take::Fenced { seen: &seen, tokens: &tokens }).await?)
    }

    /// The leases on all that `lines` name, in the order of their ids: two buyers of the same two
    /// products do not wait for each other.
    async fn leases(&self, lines: &Lines) -> Result<BTreeMap<ProductId, HeldLease>, Failure> {
        let mut held = BTreeMap::new();
        for &product in lines.keys() {
            let name = format!("stock:{product}");
            let lease = self.guard.redis()?.leases.acquire(&name, self.guard.options.patience);
            held.insert(product, lease.await.map_err(|error| no_lease(&error))?);
        }
        Ok(held)
    }

    /// Redis lets in as many as there are pieces, and the database has the last word.
    async fn by_script(&self, order: OrderId, lines: &Lines) -> Result<Reserved, Failure> {
        let counts = &self.guard.redis()?.counts;
        match self.let_in(counts, order, lines).await {
            Ok(None) => {}
            Ok(Some(refused)) => return Ok(refused),
            Err(LetIn::Failed(failure)) => return Err(failure),
            Err(LetIn::Redis(error)) => {
                tracing::warn!(%error, "Redis does not answer, the database decides alone");
            }
        }
        self.guard.options.think.over(order).await;
        let reserved = self.hold(order, lines, Take::IfEnough).await;
        if !matches!(reserved, Ok(Reserved::As(_))) {
            // What this one took in Redis it does not have: the copy is wrong.
            self.recount(lines).await;
        }
        Ok(reserved?)
    }

    /// Nothing, if Redis lets the order in; or else why not.
    async fn let_in(
        &self,
        counts: &ScriptStock,
        order: OrderId,
        lines: &Lines,
    ) -> Result<Option<Reserved>, LetIn> {
        let (id, mut taken) = (order.to_string(), Lines::new());
        for (&product, &wanted) in lines {
            let name = product.to_string();
            let mut answer = counts.take(&name, &id, u32::from(wanted)).await?;
            if answer == Answer::Unknown {
                let Some(stock) = self.stock(product).await? else {
                    return Ok(Some(Reserved::Unknown(product)));
                };
                let available = u32::try_from(stock.available).unwrap_or(u32::MAX);
                counts.put_for(&name, available, COPY).await?;
                answer = counts.take(&name, &id, u32::from(wanted)).await?;
            }
            if answer != Answer::Taken(u32::from(wanted)) {
                self.recount(&taken).await;
                let available = counts.left(&name).await?.unwrap_or(0).into();
                return Ok(Some(Reserved::TooFew { product, available }));
            }
            taken.insert(product, wanted);
        }
        Ok(None)
    }

    /// Throws the copies in Redis away; the next buyer has them made anew from the database. Where
    /// Redis cannot be told they end by themselves, after [`COPY`].
    pub(crate) async fn recount(&self, lines: &Lines) {
        let Some(redis) = &self.guard.redis else { return };
        for product in lines.keys() {
            if let Err(error) = redis.counts.forget(&product.to_string()).await {
                tracing::warn!(%product, %error, "Redis may count too few for a minute");
            }
        }
    }
}

/// Why it is not known whether Redis lets an order in.
enum LetIn {
    Redis(lock_free::Error),
    Failed(Failure),
}

impl From<lock_free::Error> for LetIn {
    fn from(error: lock_free::Error) -> LetIn {
        LetIn::Redis(error)
    }
}

impl From<shop_storage::Error> for LetIn {
    fn from(error: shop_storage::Error) -> LetIn {
        LetIn::Failed(error.into())
    }
}

fn no_lease(error: &lease::Error) -> Failure {
    tracing::warn!(%error, "no lease on the stock");
    let detail = match error {
        lease::Error::Busy(_) => "too many want the same at this moment; try again",
        _ => "the stock cannot be locked; try again",
    };
    Failure::new(Kind::Unavailable, detail)
}

async fn give_back(held: BTreeMap<ProductId, HeldLease>) {
    for lease in held.into_values() {
        // One that is lost is somebody else's by now, and one that Redis could not be told of ends
        // by itself. The row does not care.
        let _ = lease.release().await;
    }
}
