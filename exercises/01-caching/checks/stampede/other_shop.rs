//! A second process, for the checks that are about more than one.

use super::*;

/// What the second process is told.
#[derive(Serialize, Deserialize)]
pub(super) struct OtherShop {
    pub(super) url: String,
    pub(super) key: String,
    pub(super) price: Price,
    pub(super) callers: usize,
    pub(super) lease: Duration,
}

/// The second process: its own cache, its own callers. It says `load` when one of them loads, and
/// each load waits for `go on`; it says `answers` when all have been answered.
pub(super) async fn other_shop<S: ProtectedCache>(mut child: Child) {
    let OtherShop { url, key, price, callers, lease } = child.arguments();
    let cache =
        Arc::new(S::open(&url, Options { lease, ..PLAIN }).expect("the parent's URL can be read"));
    Child::say("ready");
    child.hear().await;
    let gate = Gate::shut();
    let callers: Vec<_> = (0..callers)
        .map(|_| {
            let (cache, key, gate) = (Arc::clone(&cache), key.clone(), gate.clone());
            tokio::spawn(async move {
                let load = async move {
                    Child::say("load");
                    gate.pass().await;
                    Ok::<_, OriginDown>(price)
                };
                cache.get(&key, load).await
            })
        })
        .collect();
    tokio::spawn(async move {
        child.hear().await;
        gate.open();
    });
    for caller in callers {
        if !matches!(caller.await, Ok(Ok(answer)) if answer == price) {
            Child::say("a caller got no answer");
        }
    }
    Child::say("answers");
}
