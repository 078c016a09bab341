//! Two requests, and what is nobody's, in turns on one thread.

use super::door::Door;
use super::scene::{Scene, Subject, answered};
use super::witness::LANE;
use grading::{Evidence, Finding, SOON, World, comes_to};
use observability::spans::{Recorder, Spans};
use testbed::gate::Gate;

/// Loads a cart, waits, asks for its price, waits.
fn checkout(subject: Subject, names: [&'static str; 3], gates: &[Gate; 2]) -> Door {
    let gates = gates.clone();
    Door::works(move || {
        let [first, second] = gates.clone();
        async move {
            subject
                .does(names[0], async move {
                    first.pass().await;
                    subject.leaf(names[1]).await;
                    second.pass().await;
                })
                .await;
            subject.leaf(names[2]).await;
        }
    })
}

pub(super) async fn interleaved<D: Spans>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let (annas, bens) = ([Gate::shut(), Gate::shut()], [Gate::shut(), Gate::shut()]);
    let door = checkout(scene.subject, ["anna's cart", "anna's price", "anna's pay"], &annas);
    let mut anna = scene.begin("anna", "/anna", door)?;
    comes_to(&annas[0], &mut anna).await?;
    let door = checkout(scene.subject, ["ben's cart", "ben's price", "ben's pay"], &bens);
    let ben = scene.begin("ben", "/ben", door)?;
    bens[0].arrived(1, SOON).await?;
    // Anna goes on, and ben; anna ends, and ben.
    annas[0].open();
    annas[1].arrived(1, SOON).await?;
    bens[0].open();
    bens[1].arrived(1, SOON).await?;
    annas[1].open();
    answered(anna.await)?;
    bens[1].open();
    answered(ben.await)?;
    scene.tree(&[
        ("anna's cart", "POST /anna"),
        ("anna's price", "anna's cart"),
        ("anna's pay", "POST /anna"),
        ("ben's cart", "POST /ben"),
        ("ben's price", "ben's cart"),
        ("ben's pay", "POST /ben"),
        ("POST /anna", ""),
        ("POST /ben", ""),
    ])
}

pub(super) async fn nobodys<D: Spans>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let (gate, subject) = (Gate::shut(), scene.subject);
    let door = Door::works({
        let gate = gate.clone();
        move || {
            let gate = gate.clone();
            subject.does("anna's cart", async move { gate.pass().await })
        }
    });
    let mut anna = scene.begin("anna", "/anna", door)?;
    comes_to(&gate, &mut anna).await?;
    // Meanwhile, on the same thread.
    let meanwhile = scene.run(async move {
        tracing::info!("meanwhile");
        subject.leaf("tidies up").await;
        Recorder::here()
    });
    let meanwhile = meanwhile.await?;
    gate.open();
    answered(anna.await)?;
    let afterwards = scene.run(async move {
        tracing::info!("afterwards");
        subject.leaf("goes home").await;
        Recorder::here()
    });
    let afterwards = afterwards.await?;
    scene.tree(&[("POST /anna", ""), ("tidies up", ""), ("goes home", "")])?;
    let logged = |span: &observability::spans::Finished| {
        let line = span
            .events
            .iter()
            .find(|said| said.message == "meanwhile" || said.message == "afterwards");
        line.map(|said| (said.message.clone(), span.name.to_string()))
    };
    if let Some((line, span)) = scene.ended().iter().find_map(logged) {
        let at = scene.world.history().last(LANE, &format!("\"{line}\""));
        return Err(Evidence::new(format!("\"{line}\" in no span"), format!("it in {span}"))
            .at(at)
            .into());
    }
    match meanwhile.or(afterwards) {
        None => Ok(()),
        Some(_) => {
            let saw = "some span, entered and not left";
            Err(Evidence::new("no current span outside of any request", saw).into())
        }
    }
}
