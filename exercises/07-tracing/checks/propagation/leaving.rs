//! Customers who leave, and work that stays.

use super::door::{Door, apart, to};
use super::scene::{Rows, Scene, Service, delivery};
use grading::{Finding, SOON};
use observability::propagation::Peer;
use opentelemetry::trace::FutureExt;
use testbed::gate::Gate;

/// Writes a message when it is dropped.
struct OnLeaving {
    service: Service,
    rows: Rows,
}

impl Drop for OnLeaving {
    fn drop(&mut self) {
        self.rows.push(self.service.writes("cancellations"));
    }
}

pub(super) async fn hung_up_on(scene: Scene) -> Result<(), Finding> {
    let (service, rows, gate) = (scene.service("orders"), Rows::default(), Gate::shut());
    let inside = Door::after({
        let (service, rows, gate) = (service.clone(), rows.clone(), gate.clone());
        move |_| {
            let (service, rows, gate) = (service.clone(), rows.clone(), gate.clone());
            async move {
                rows.push(service.writes("orders"));
                let _leaving = OnLeaving { service, rows };
                gate.pass().await;
            }
        }
    });
    let door = service.at(Peer::Ours, Some("/orders"), inside);
    let call = scene.world.invoke("customer", "POST /orders");
    let asked = door.ask(to("POST", "/orders"));
    let mut asked = tokio::spawn(asked);
    let came = grading::comes_to(&gate, &mut asked).await;
    let _ = call.unknown("hangs up");
    asked.abort();
    came?;
    let book = &scene.book;
    let places = book.one("orders", "POST /orders").await?;
    let creates = book.one("orders", "create orders").await?;
    let cancels = book.one("orders", "create cancellations").await?;
    book.child(&creates, &places)?;
    book.child(&cancels, &places)?;
    let mail = scene.service("mail");
    for queue in ["orders", "cancellations"] {
        mail.hears(queue, &rows.take()?).await?;
    }
    book.child(&book.one("mail", "process orders").await?, &creates)?;
    book.child(&book.one("mail", "process cancellations").await?, &cancels)?;
    // A consumer that is shut down leaves its work as a customer does.
    let (stock, gate) = (scene.service("warehouse"), Gate::shut());
    let (leaving, messages) = (stock.clone(), [delivery(&stock.writes("parcels"), false)]);
    let mut works = tokio::spawn({
        let gate = gate.clone();
        stock.works("parcels", &messages, async move {
            let _leaving = OnLeaving { service: leaving, rows: Rows::default() };
            gate.pass().await;
        })
    });
    let came = grading::comes_to(&gate, &mut works).await;
    works.abort();
    came?;
    let works = book.one("warehouse", "process parcels").await?;
    book.child(&works, &book.one("warehouse", "create parcels").await?)?;
    book.child(&book.one("warehouse", "create cancellations").await?, &works)
}

pub(super) async fn after_the_answer(scene: Scene) -> Result<(), Finding> {
    let (service, rows, gate) = (scene.service("orders"), Rows::default(), Gate::shut());
    let inside = Door::after({
        let (service, rows, gate) = (service.clone(), rows.clone(), gate.clone());
        move |_| {
            let (service, rows, gate) = (service.clone(), rows.clone(), gate.clone());
            let later = async move {
                gate.pass().await;
                rows.push(service.writes("orders"));
            };
            // As everybody does it who begins a task in a request.
            tokio::spawn(later.with_current_context());
            std::future::ready(())
        }
    });
    let door = service.at(Peer::Ours, Some("/orders"), inside);
    scene.ask("customer", &door, to("POST", "/orders"), &[]).await?;
    gate.arrived(1, SOON).await?;
    let book = &scene.book;
    // The task still holds the context, and waits.
    let places = book.one("orders", "POST /orders").await?;
    gate.open();
    let creates = book.one("orders", "create orders").await?;
    book.child(&creates, &places)?;
    // A consumer's task, just so: it writes another message when its own is done.
    let mail = scene.service("mail");
    let gate = Gate::shut();
    let work = {
        let (mail, row, gate) = (mail.clone(), rows.take()?, gate.clone());
        async move {
            let messages = [delivery(&row, false)];
            let inner = mail.clone();
            let work = async move {
                let later = async move {
                    gate.pass().await;
                    inner.subject.enqueue("receipts");
                };
                tokio::spawn(later.with_current_context());
            };
            mail.works("orders", &messages, work).await;
        }
    };
    apart(work).result().await?;
    gate.arrived(1, SOON).await?;
    let works = book.one("mail", "process orders").await?;
    gate.open();
    book.child(&works, &creates)?;
    book.child(&book.one("mail", "create receipts").await?, &works)
}
