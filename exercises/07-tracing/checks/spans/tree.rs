//! What hangs beneath what, within one task.

use super::door::{Door, Later, Refused};
use super::ends::OnLeaving;
use super::scene::{Scene, Subject};
use futures_util::stream::{FuturesUnordered, StreamExt};
use grading::{Finding, World};
use http::Response;
use observability::spans::Spans;
use std::pin::pin;
use testbed::gate::Gate;

pub(super) async fn beneath<D: Spans>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let subject = scene.subject;
    let door = Door::works(move || async move {
        let cart = subject.does("load cart", async move {
            subject.leaf("ask cache").await;
            subject.leaf("ask database").await;
            subject.does("price", subject.leaf("not yet polled")).await;
        });
        cart.await;
        subject
            .does("pay", async move {
                for _ in 0..3 {
                    subject.leaf("ask bank").await;
                }
            })
            .await;
    });
    scene.ask("customer", "/buy", door).await?;
    scene.tree(&[
        ("POST /buy", ""),
        ("load cart", "POST /buy"),
        ("ask cache", "load cart"),
        ("ask database", "load cart"),
        ("price", "load cart"),
        ("pay", "POST /buy"),
        // A future that was made before its surroundings hangs beneath whoever made it.
        ("not yet polled", "load cart"),
    ])?;
    let pay = scene.span("pay")?;
    for round in scene.spans("ask bank", 3)? {
        scene.hangs(&round, Some(&pay))?;
    }
    Ok(())
}

const LEVELS: [&str; 5] = ["level 1", "level 2", "level 3", "level 4", "level 5"];

fn below(subject: Subject, level: usize) -> Later<()> {
    Box::pin(async move {
        if let Some(name) = LEVELS.get(level) {
            subject.does(name, below(subject, level + 1)).await;
        }
    })
}

pub(super) async fn down<D: Spans>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let subject = scene.subject;
    scene.ask("customer", "/tree", Door::works(move || below(subject, 0))).await?;
    let mut above = "POST /tree";
    for level in LEVELS {
        scene.tree(&[(level, above)])?;
        above = level;
    }
    Ok(())
}

pub(super) async fn beside<D: Spans>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let subject = scene.subject;
    let door = Door::works(move || async move {
        // None of them ends before all have begun, and each begins something after that.
        let all = Gate::barrier(3);
        let step = |name, then| {
            let all = all.clone();
            subject.does(name, async move {
                all.pass().await;
                subject.leaf(then).await;
            })
        };
        tokio::join!(
            step("stock", "ask stock"),
            step("price", "ask price"),
            step("fraud", "ask fraud"),
        );
        let all = Gate::barrier(2);
        let step = |name, then| {
            let all = all.clone();
            subject.does(name, async move {
                all.pass().await;
                subject.leaf(then).await;
            })
        };
        let mut unordered: FuturesUnordered<_> =
            [step("carrier a", "ask a"), step("carrier b", "ask b")].into_iter().collect();
        while unordered.next().await.is_some() {}
        // One wins, and is kept until the end of the block; the other is dropped.
        let never = Gate::shut();
        let mut wins = pin!(subject.leaf("wins"));
        tokio::select! {
            () = &mut wins => {}
            () = subject.does("loses", async move { never.pass().await }) => {}
        }
        subject.leaf("afterwards").await;
    });
    scene.ask("customer", "/buy", door).await?;
    let beside =
        ["stock", "price", "fraud", "carrier a", "carrier b", "wins", "loses", "afterwards"];
    for name in beside {
        scene.tree(&[(name, "POST /buy")])?;
    }
    scene.tree(&[
        ("ask stock", "stock"),
        ("ask price", "price"),
        ("ask fraud", "fraud"),
        ("ask a", "carrier a"),
        ("ask b", "carrier b"),
    ])
}

pub(super) async fn lines_within<D: Spans>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let subject = scene.subject;
    let door = Door::new(move |_| {
        let begun = subject.leaf("begun in the call");
        async move {
            begun.await;
            tracing::info!("before");
            subject
                .does("load cart", async {
                    let _leaving = OnLeaving("lets go of the cart");
                    tracing::info!("asks");
                    tokio::task::yield_now().await;
                    tracing::info!("has it");
                })
                .await;
            tracing::info!("after");
            match tokio::task::spawn_blocking(subject.job("hash", || tracing::info!("hashes")))
                .await
            {
                Ok(7) => Ok(Response::new(())),
                _ => Err(Refused("a job has to pass on what its work says")),
            }
        }
    });
    scene.ask("customer", "/buy", door).await?;
    let root = scene.span("POST /buy")?;
    scene.logged(&scene.span("load cart")?, &["asks", "has it", "lets go of the cart"])?;
    scene.logged(&scene.span("hash")?, &["hashes"])?;
    scene.logged(&root, &["is made ready", "is called", "before", "after"])?;
    scene.tree(&[("begun in the call", "POST /buy")])
}
