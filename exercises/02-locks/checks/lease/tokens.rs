//! Fencing tokens.

use super::*;

pub(super) async fn tokens_rise<L: Lease>(world: World) -> Result<(), Finding> {
    let name = name(&world);
    let short = Options { ttl: Duration::from_millis(150), ..LONG };
    let client = Client::<L>::open(&world, "client", LONG).await?;
    let brief = Client::<L>::open(&world, "brief", short).await?;
    let mut drawn: Vec<(&str, u64)> = Vec::new();

    let order = Order { url: world.redis().url().to_owned(), name: name.clone(), ttl: LONG.ttl };
    let mut process = world.process(&order)?;
    for _ in 0..2 {
        for _ in 0..2 {
            let held = client.gets(&name, "a lease on a name that nobody holds").await?;
            drawn.push(("after a release", held.token()));
            client.gives_back(held).await?;
        }
        // One whose time is over, and which nobody has given back before the next one asks.
        let held = brief.gets(&name, "a lease on a name that nobody holds").await?;
        drawn.push(("after a release", held.token()));
        let next = client.gets(&name, "the name free after the TTL of 150 ms").await?;
        drawn.push(("after a TTL was over", next.token()));
        drop(held);
        client.gives_back(next).await?;

        process.say("acquire").await;
        let said = process.expect("a token", SOON).await?;
        let token = said.parse();
        let token = token.map_err(|_| Evidence::new("a lease in the other process", said))?;
        world.history().note("process", format!("= token {token}"));
        drawn.push(("in another process", token));
        process.say("release").await;
        process.expect("a release", SOON).await?;

        world.redis().script_flush().await?;
        let held = client.gets(&name, "a lease on a name that nobody holds").await?;
        drawn.push(("after SCRIPT FLUSH", held.token()));
        client.gives_back(held).await?;
        world.redis().flush_all().await?;
        world.history().note("client", "(Redis restarts and has forgotten everything)");
        let held = client.gets(&name, "a lease on a name that nobody holds").await?;
        drawn.push(("when Redis has lost its memory", held.token()));
        client.gives_back(held).await?;
    }
    for pair in drawn.windows(2) {
        let [(_, before), (when, token)] = [pair[0], pair[1]];
        if token <= before {
            let expected = format!("a token above {before}");
            let steps = [before, token].map(|token| {
                let text = format!("= token {token}");
                ["client", "brief", "process"]
                    .iter()
                    .find_map(|lane| world.history().last(lane, &text))
            });
            let evidence = Evidence::new(expected, format!("{token} {when}"));
            return Err(evidence.at(steps[0]).at(steps[1]).into());
        }
    }
    Ok(())
}

pub(super) async fn tokens_in_order<L: Lease>(world: World) -> Result<(), Finding> {
    let name = name(&world);
    let late = Client::<L>::open(&world, "late", LONG).await?;
    let mut held_up = 0;
    // The early one's k-th request is held, or the reply to it, while the late one gets the name,
    // and keeps it or gives it back, and Redis forgets all of it or does not.
    'steps: for step in 1..=STEPS {
        for (reply, keeps, forgets) in
            [(false, true, false), (false, false, false), (false, false, true), (true, true, false)]
        {
            world.history().turn_page();
            let early = Client::<L>::open(&world, "early", SHORT).await?;
            early.warm_up().await?;
            let name = format!("{name}:{held_up}");
            let gate = match reply {
                false => early.proxy.hold(move |request| request.nth == step),
                true => early.proxy.hold_reply(move |request| request.nth == step),
            };
            let patience = if keeps { ONCE } else { SOON };
            let mut acquiring = early.start_acquire(&name, patience);
            if !meets(&gate, &mut acquiring).await? {
                let _ = acquiring.await?;
                break 'steps;
            }
            held_up += 1;
            let held = late.gets(&name, "the name free after the TTL of 200 ms").await?;
            let token = held.token();
            if !keeps {
                late.gives_back(held).await?;
                if forgets {
                    world.redis().flush_all().await?;
                    world.history().note("late", "(Redis restarts and has forgotten everything)");
                }
                gate.open();
                if let Ok(held) = acquiring.await?
                    && held.token() < token
                {
                    let expected = format!("a token above {token}, whose holder came before");
                    return Err(disorder(&world, expected, held.token()));
                }
                continue;
            }
            gate.open();
            if let Ok(old) = acquiring.await?
                && old.token() > token
            {
                let expected = format!("a token below {token}, whose holder came after");
                return Err(disorder(&world, expected, old.token()));
            }
            drop(held);
        }
    }
    landed(held_up, "the client asked Redis nothing")
}

fn disorder(world: &World, expected: String, token: u64) -> Finding {
    let [early, late] = ["early", "late"].map(|lane| world.history().last(lane, "= token"));
    Evidence::new(expected, token.to_string()).at(early).at(late).into()
}
