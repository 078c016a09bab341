//! Whichever of the eight is slow, the trail ends at it.

use shop_contracts::Peers;
use shop_flags::{FaultService, PatternCache, PatternLimiter, Switch};
use shop_outside::{mail, payment};

use super::*;
use crate::compare::{buyers, setup};
use crate::goods;
use crate::place::Place;
use crate::whole::{Setup, Shop};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_eight_is_found() {
    let setup = setup();
    setup.flags.set(PatternCache::Off);
    setup.flags.set(PatternLimiter::Off);
    let (provider, mail) =
        (payment::Provider::new(Duration::ZERO), mail::Server::new(Duration::ZERO));
    let place = Place::for_a_run(false).await.expect("a folder");
    let shop = Shop::open(&place, Setup { provider, mail, ..setup }).await.expect("a shop");
    let products = goods::take_in(&shop.peers, 1, 40).await.expect("goods");
    let gateway = Peer::new("gateway", shop.url());
    let accounts = buyers::accounts(&shop.peers, CUSTOMERS).await.expect("accounts");
    let customers = buyers::crowd(&accounts, &shop.setup.tokens, &gateway).expect("customers");
    let shelf = Shelf { customers, products };
    let watched = Watched::shop(&gateway, &shop.peers, PATIENCE);

    // Often enough that one slow round in each of eight is not what is usual.
    for _ in 0..4 {
        shelf.visited(&gateway, Duration::ZERO).await.expect("all are served");
    }
    for (at, name) in Peers::NAMES.iter().chain(&["gateway"]).enumerate() {
        let slow = FaultService::named(name).expect("a service that can be slow");
        for _ in 0..2 {
            shelf.visited(&gateway, Duration::ZERO).await.expect("all are served");
        }
        let before = watched.scrape().await;
        shop.setup.flags.set(slow);
        shelf.visited(&gateway, Duration::ZERO).await.expect("all are served");
        shop.setup.flags.set(FaultService::Off);
        let now = watched.scrape().await;
        let trail = Trail::follow(&before, &now, &gateway).await;
        let trail = trail.unwrap_or_else(|lost| panic!("{name}, number {at}: {lost:#}"));
        assert_eq!(trail.service, *name, "{trail:?}");
        assert!(trail.own_ms >= 300.0, "{name} took 300 ms longer: {trail:?}");
        let found = WRONG.iter().filter(|(wrong, ..)| wrong == name).count();
        assert_eq!(found, 1, "{name} is among those of which the seed chooses one");
    }
    shop.close().await;
}
