//! Requests and answers of all shapes.

use super::*;
use sagas::idempotency_keys::Response;

pub(super) async fn any_shape<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.warm::<K>("client", PATIENT).await?;
    let second = scene.warm::<K>("second", PATIENT).await?;
    let binary: Vec<u8> = (0..=255).collect();
    let many = (0..200).flat_map(|_| headers()).collect();
    let answers = [
        Response::new(204, ""),
        Response { headers: headers(), ..Response::new(201, "") },
        Response::new(200, binary.repeat(2_000)),
        Response { headers: many, ..Response::new(402, binary.clone()) },
    ];
    let requests = [("PUT", binary), ("DELETE", Vec::new()), ("PATCH", Vec::new())];
    for (nth, response) in answers.into_iter().enumerate() {
        let (method, body) = requests[nth % requests.len()].clone();
        let payment = Payment { method: method.to_owned(), body, ..scene.payment() };
        let job = scene.job(&payment).says(response);
        let answer = client.pays_first(&payment, &job).await?;
        client.as_given(&job, &answer)?;
        client.pays_again(&payment, &job, &answer).await?;
        second.pays_again(&payment, &job, &answer).await?;
        scene.has(&payment.what, 1, "it was paid once, and asked for again").await?;
        scene.world.history().turn_page();
    }
    Ok(())
}

/// Headers as they are, and some that are seldom.
fn headers() -> Vec<(String, String)> {
    let headers = [
        ("Location", "https://shop.example:8443/payments/7?a=1,2&b=\"c\""),
        ("link", "</payments?page=2>; rel=\"next\", </payments>; rel=\"first\""),
        ("x-empty", ""),
        ("X-Blank", " around "),
        ("x-lines", "one\r\n two"),
        ("location", "twice"),
    ];
    headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}
