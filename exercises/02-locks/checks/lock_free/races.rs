//! Buyers who meet where it hurts.

use super::Ways;
use super::scene::{Buyer, PATIENT, STEPS, Scene, Way, Wish, in_each_way, sold};
use grading::{Finding, World};
use locks::lock_free::{Answer, Stock};
use std::sync::Arc;

pub(super) async fn last_units<W: Ways>(world: World) -> Result<(), Finding> {
    in_each_way!(W, world, last_units_of)
}

/// Three buyers each want two of five: two get theirs. All three are held before their first step,
/// in another round before their second, and so on, until none is left to hold.
async fn last_units_of<S: Stock>(scene: &mut Scene) -> Result<(), Finding> {
    let each = scene.number(2..5);
    let put = 3 * each - 1;
    let anna = scene.buyer::<S>("anna", PATIENT).await?;
    let ben = scene.buyer::<S>("ben", PATIENT).await?;
    let chris = scene.buyer::<S>("chris", PATIENT).await?;
    let buyers = [&*anna, &*ben, &*chris];
    let mut held = 0;
    for step in 1..=STEPS {
        let product = scene.product();
        anna.put(&product, put).await?;
        for buyer in buyers {
            buyer.left(&product).await?;
        }
        let Some(barrier) = scene.hold(&buyers, step)? else { break };
        let wishes = [(); 3].map(|()| Wish::new(scene, &product, each));
        let tasks = [anna.start(&wishes[0]), ben.start(&wishes[1]), chris.start(&wishes[2])];
        let came = scene.gather(&barrier, &tasks).await?;
        scene.open(barrier)?;
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await?);
        }
        let asked: Vec<_> = buyers.into_iter().zip(&wishes).collect();
        let sum = sold(&asked, answers).await?;
        scene.books(&anna, &product, put, sum).await?;
        if sum != 2 * each {
            let expected = format!("{} of {put} sold, in orders of {each}", 2 * each);
            return Err(anna.broken(&expected, format!("{sum} are sold")));
        }
        held = held.max(came);
        if came == 0 {
            break;
        }
    }
    if scene.on_redis() {
        overtaken(scene, [&anna, &ben, &chris], (put, each)).await?;
    }
    enough(held)
}

/// Anna is held before her first step while the two others get theirs, in another round before her
/// second, and so on. What she saw before that is long untrue. In PostgreSQL the others would wait
/// behind her, for the row or for the place where she is held.
async fn overtaken<S: Stock>(
    scene: &mut Scene,
    [anna, ben, chris]: [&Arc<Buyer<S>>; 3],
    (put, each): (u32, u32),
) -> Result<(), Finding> {
    for step in 1..=STEPS {
        let product = scene.product();
        for buyer in [anna, ben, chris] {
            buyer.proxy().clear_rules();
        }
        anna.put(&product, put).await?;
        for buyer in [anna, ben, chris] {
            buyer.left(&product).await?;
        }
        let Some(barrier) = scene.hold(&[&**anna], step)? else { break };
        let wishes = [(); 3].map(|()| Wish::new(scene, &product, each));
        let task = [anna.start(&wishes[0])];
        let came = scene.gather(&barrier, &task).await?;
        if came == 0 {
            break;
        }
        let mut answers = Vec::new();
        for (buyer, wish) in [(ben, &wishes[1]), (chris, &wishes[2])] {
            answers.push(buyer.take(&product, &wish.order, each).await);
        }
        scene.open(barrier)?;
        let [task] = task;
        answers.insert(0, task.await?);
        let asked: Vec<_> = [&**anna, &**ben, &**chris].into_iter().zip(&wishes).collect();
        let sum = sold(&asked, answers).await?;
        scene.books(anna, &product, put, sum).await?;
        if sum != 2 * each {
            let expected = format!("{} of {put} sold, in orders of {each}", 2 * each);
            return Err(anna.broken(&expected, format!("{sum} are sold")));
        }
    }
    Ok(())
}

fn enough(held: usize) -> Result<(), Finding> {
    match held {
        0 => Err(Finding::inconclusive("nobody asked the server for anything")),
        _ => Ok(()),
    }
}

pub(super) async fn one_program<W: Ways>(world: World) -> Result<(), Finding> {
    in_each_way!(W, world, one_program_of)
}

/// Four callers in one task: each has sent its first words before any of them gets an answer.
async fn one_program_of<S: Stock>(scene: &mut Scene) -> Result<(), Finding> {
    let buyer = scene.buyer::<S>("shop", PATIENT).await?;
    for _ in 0..3 {
        let product = scene.product();
        buyer.put(&product, 2).await?;
        let wishes = [(); 4].map(|()| Wish::new(scene, &product, 1));
        let take = |wish: usize| buyer.take(&product, &wishes[wish].order, 1);
        let (a, b, c, d) = tokio::join!(take(0), take(1), take(2), take(3));
        let asked: Vec<_> = wishes.iter().map(|wish| (&*buyer, wish)).collect();
        let sum = sold(&asked, vec![a, b, c, d]).await?;
        scene.books(&buyer, &product, 2, sum).await?;
        if sum != 2 {
            return Err(
                buyer.broken("both units sold, to four who want one", format!("{sum} sold"))
            );
        }
    }
    Ok(())
}

pub(super) async fn same_order<W: Ways>(world: World) -> Result<(), Finding> {
    in_each_way!(W, world, same_order_of)
}

/// The customer clicks twice, and the two clicks come to two servers.
async fn same_order_of<S: Stock>(scene: &mut Scene) -> Result<(), Finding> {
    let units = scene.number(2..5);
    let put = 3 * units - 1;
    let anna = scene.buyer::<S>("anna", PATIENT).await?;
    let again = scene.buyer::<S>("anna again", PATIENT).await?;
    let mut held = 0;
    for step in 1..=STEPS {
        let product = scene.product();
        anna.put(&product, put).await?;
        again.left(&product).await?;
        let wish = Wish::new(scene, &product, units);
        let Some(barrier) = scene.hold(&[&*anna, &*again], step)? else { break };
        let tasks = [anna.start(&wish), again.start(&wish)];
        let came = scene.gather(&barrier, &tasks).await?;
        scene.open(barrier)?;
        for task in tasks {
            let _ = task.await?;
        }
        for buyer in [&anna, &again] {
            buyer.must(&wish, Answer::Taken(units)).await?;
        }
        scene.books(&anna, &product, put, units).await?;
        // When all is sold, the first answer stands.
        let rest = Wish::new(scene, &product, put - units);
        again.must(&rest, Answer::Taken(put - units)).await?;
        again.must(&wish, Answer::Taken(units)).await?;
        held = held.max(came);
        if came == 0 {
            break;
        }
    }
    enough(held)
}
