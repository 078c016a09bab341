//! What holds on a quiet day.

use super::Ways;
use super::scene::{PATIENT, Scene, Way, Wish, in_each_way};
use grading::{Finding, World};
use locks::lock_free::{Answer, Stock};

pub(super) async fn answers<W: Ways>(world: World) -> Result<(), Finding> {
    in_each_way!(W, world, answers_of)
}

async fn answers_of<S: Stock>(scene: &mut Scene) -> Result<(), Finding> {
    let product = scene.product();
    let buyer = scene.buyer::<S>("buyer", PATIENT).await?;
    // More than 32 bits with a sign would hold.
    let put = scene.number(3_000_000_000..4_000_000_000);
    let wish = Wish::new(scene, &product, put - 2);
    buyer.at_once(&wish, Answer::Unknown).await?;
    if let Some(left) = buyer.left(&product).await? {
        return Err(scene.broken("left() to be None: nobody put it up", format!("Some({left})")));
    }
    buyer.put(&product, put).await?;
    buyer.at_once(&wish, Answer::Taken(put - 2)).await?;
    let too_many = Wish::new(scene, &product, 3);
    buyer.at_once(&too_many, Answer::SoldOut).await?;
    scene.books(&buyer, &product, put, put - 2).await?;
    // To put up twice is to put up once; another product is another stock.
    buyer.put(&product, put).await?;
    let other = scene.another_product();
    buyer.put(&other, 5).await?;
    let rest = Wish::new(scene, &product, 2);
    buyer.at_once(&rest, Answer::Taken(2)).await?;
    buyer.at_once(&too_many, Answer::SoldOut).await?;
    scene.books(&buyer, &product, put, put).await?;
    scene.books(&buyer, &other, 5, 0).await
}

pub(super) async fn one_round_trip<W: Ways>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::set(world, Way::Script).await?;
    let product = scene.product();
    let buyer = scene.buyer::<W::Script>("buyer", PATIENT).await?;
    buyer.put(&product, 3).await?;
    // The first script costs more: Redis must learn it.
    let first = Wish::new(&mut scene, &product, 1);
    buyer.must(&first, Answer::Taken(1)).await?;
    let next = Wish::new(&mut scene, &product, 1);
    let too_many = Wish::new(&mut scene, &product, 2);
    let cases =
        [(&first, Answer::Taken(1)), (&next, Answer::Taken(1)), (&too_many, Answer::SoldOut)];
    for (wish, expected) in cases {
        buyer.proxy().reset_count();
        buyer.at_once(wish, expected).await?;
        let counts = buyer.proxy().counts();
        if counts.requests != 1 {
            let saw = format!("{} requests in {} trips", counts.requests, counts.round_trips);
            return Err(buyer.broken("one request, in which all is decided", saw));
        }
    }
    Ok(())
}
