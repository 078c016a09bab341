//! Against what a request is counted, and how much.

use super::scene::{Ask, Scene};
use grading::{Finding, World};
use rand::RngExt;
use rate_limiting::http_limits::{Forwarding, HttpLimits, Proxies};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) async fn cost_by_route<S: HttpLimits>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::set(world);
    let mut door = scene.door::<S>(Proxies::default());
    for path in ["/products", "/checkout", "/login", "/quota"] {
        // To look at one's quota costs nothing, and is asked and told of like the rest.
        let cost = if path == "/quota" { 0 } else { scene.random.random_range(2..50) };
        scene.says_yes(1);
        let ask = Ask { path: path.into(), cost: Some(cost), ..Ask::plain() };
        let answer = scene.passes(&mut door, ask).await?;
        let asked: Vec<u32> = scene.script.take_asked().iter().map(|(_, cost)| *cost).collect();
        if asked != [cost] {
            let expected = format!("the limiter to be asked once, for {cost}");
            return Err(answer.saw(expected, format!("it was asked for {asked:?}")));
        }
    }
    let ask = Ask { path: "/health".into(), cost: None, ..Ask::plain() };
    let answer = scene.passes(&mut door, ask).await?;
    if let Some((_, cost)) = scene.script.take_asked().first() {
        let expected = "what has no cost to be passed on as it is";
        return Err(answer.saw(expected, format!("the limiter was asked for {cost}")));
    }
    match answer.text("ratelimit") {
        None => Ok(()),
        Some(_) => Err(answer.not("no field, for this is not limited")),
    }
}

pub(super) async fn who_before_where<S: HttpLimits>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::set(world);
    let mut door = scene.door::<S>(Proxies::default());
    let number = scene.random.random_range(10..100);
    let office = IpAddr::from([198, 51, 100, scene.random.random_range(1..255)]);
    let home = IpAddr::from([192, 0, 2, scene.random.random_range(1..255)]);
    let (ann, bob) = (format!("user:{number}"), format!("user:{}", number + 1));
    let named = |who: &str, from: IpAddr| Ask { who: Some(who.to_owned()), ..Ask::from(from) };

    let ann_at_work = scene.key(&mut door, named(&ann, office)).await?;
    let ann_at_home = scene.key(&mut door, named(&ann, home)).await?;
    ann_at_home.is(&ann_at_work, "the same user")?;
    let bob_at_work = scene.key(&mut door, named(&bob, office)).await?;
    bob_at_work.is_not(&ann_at_work, "two users of one office")?;
    let guest = scene.key(&mut door, Ask::from(office)).await?;
    guest.is_not(&ann_at_work, "a user, and somebody unknown at the same address")?;

    scene.world.history().turn_page();
    let guest = scene.key(&mut door, Ask::from(office)).await?;
    // Whatever keys of addresses look like: somebody may register by that name.
    for name in [office.to_string(), guest.text().to_owned()] {
        let thief = scene.key(&mut door, named(&name, home)).await?;
        thief.is_not(&guest, "an address, and a user who is called like it")?;
    }
    Ok(())
}

pub(super) async fn forged_address<S: HttpLimits>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::set(world);
    let near = Proxies { trusted: vec!["10.0.0.0/8".parse().expect("a network")], ..none() };
    let client = Ipv4Addr::new(203, 0, 113, scene.random.random_range(1..255));
    for proxies in [none(), near] {
        let mut door = scene.door::<S>(proxies);
        for header in [
            "x-forwarded-for",
            "forwarded",
            "x-real-ip",
            "true-client-ip",
            "x-client-ip",
            "cf-connecting-ip",
        ] {
            scene.world.history().turn_page();
            let honest = scene.key(&mut door, Ask::from(client)).await?;
            let made_up: [u8; 4] = scene.random.random();
            let made_up = Ipv4Addr::from(made_up).to_string();
            let value = match header {
                "forwarded" => format!("for={made_up}"),
                _ => made_up,
            };
            let forged = scene.key(&mut door, Ask::from(client).header(header, value)).await?;
            forged.is(&honest, "the same connection, whatever it says of itself")?;
        }
    }
    let mut door = scene.door::<S>(none());
    let one = scene.key(&mut door, Ask::from(client)).await?;
    let other = scene.key(&mut door, Ask::from([192, 0, 2, 1])).await?;
    other.is_not(&one, "two addresses")?;

    // A server that does not know the other end, as on a unix socket.
    scene.world.history().turn_page();
    let nowhere = || Ask { from: None, ..Ask::plain() };
    let honest = scene.key(&mut door, nowhere()).await?;
    let forged = nowhere().header("x-forwarded-for", client.to_string());
    let forged = scene.key(&mut door, forged).await?;
    forged.is(&honest, "those of whom nobody knows where they are")?;
    honest.is_not(&one, "somebody unknown, and an address")
}

fn none() -> Proxies {
    Proxies::default()
}

pub(super) async fn address_behind_proxies<S: HttpLimits>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::set(world);
    let trusted = vec!["10.0.0.0/8".parse().expect("a network")];
    let mut door = scene.door::<S>(Proxies { trusted, header: Forwarding::XForwardedFor });
    // 203.0.113.x connects to 10.0.1.y, which asks 10.0.2.z, which asks the shop.
    let client = format!("203.0.113.{}", scene.random.random_range(1..255));
    let other = format!("198.51.100.{}", scene.random.random_range(1..255));
    let made_up = format!("192.0.2.{}", scene.random.random_range(1..255));
    let edge = format!("10.0.1.{}", scene.random.random_range(1..255));
    let inner = Ipv4Addr::new(10, 0, 2, scene.random.random_range(1..255));
    let xff = "x-forwarded-for";
    let through = |chain: String| Ask::from(inner).header(xff, chain);

    let honest = scene.key(&mut door, through(format!("{client}, {edge}"))).await?;
    let next = scene.key(&mut door, through(format!("{other}, {edge}"))).await?;
    next.is_not(&honest, "two clients of the same proxies")?;

    for forged in [
        through(format!("{made_up}, {client}, {edge}")),
        through(format!("{made_up}, 10.9.9.9, {client}, {edge}")),
        through(format!("not an address, {client}, {edge}")),
        // A proxy that appends a line, where others append to one.
        through(made_up.clone()).header(xff, format!("{client}, {edge}")),
        through(format!("{made_up}, {client}")).header(xff, edge.clone()),
        // What these proxies do not write, they do not clean either.
        through(format!("{client}, {edge}")).header("forwarded", format!("for={made_up}")),
        through(format!("{client}, {edge}")).header("x-real-ip", made_up.clone()),
    ] {
        scene.world.history().turn_page();
        let honest = scene.key(&mut door, through(format!("{client}, {edge}"))).await?;
        let forged = scene.key(&mut door, forged).await?;
        forged.is(&honest, "the same client, whatever it sent along")?;
    }

    scene.world.history().turn_page();
    let honest = scene.key(&mut door, Ask::from(inner).header(xff, client.clone())).await?;
    let direct = scene.key(&mut door, Ask::from(client.parse::<IpAddr>().expect("one"))).await?;
    direct.is(&honest, "the same client, through a proxy and directly")?;

    // The edge knew the client by no address. What stands before that, the client wrote.
    scene.world.history().turn_page();
    let hidden = scene.key(&mut door, through(format!("{client}, unknown, {edge}"))).await?;
    let forged = scene.key(&mut door, through(format!("{made_up}, unknown, {edge}"))).await?;
    forged.is(&hidden, "whom the proxy did not know, whatever they write before it")?;
    // A proxy that asks for itself sends no such header.
    let itself = scene.key(&mut door, Ask::from(inner)).await?;
    itself.is_not(&direct, "a proxy, and a client of it")?;

    // Others write the standard header, and pass this one on as the client has sent it.
    scene.world.history().turn_page();
    let trusted = vec!["10.0.0.0/8".parse().expect("a network")];
    let mut door = scene.door::<S>(Proxies { trusted, header: Forwarding::Forwarded });
    let chain = format!("for={client};proto=https, for={edge}");
    let through = |chain: String| Ask::from(inner).header("forwarded", chain);
    let honest = scene.key(&mut door, through(chain.clone())).await?;
    honest.is(&direct, "the same client, through other proxies and directly")?;
    for forged in [
        through(format!("for={made_up}, {chain}")),
        through(chain).header(xff, format!("{made_up}, {edge}")),
    ] {
        let forged = scene.key(&mut door, forged).await?;
        forged.is(&honest, "the same client, whatever it sent along")?;
    }
    Ok(())
}

pub(super) async fn ipv6_by_64<S: HttpLimits>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::set(world);
    let mut door = scene.door::<S>(none());
    let net: u16 = scene.random.random_range(1..0xffff);
    let host = |random: &mut rand::rngs::StdRng, net: u16| {
        let low: [u16; 4] = random.random();
        Ipv6Addr::new(0x2001, 0xdb8, 7, net, low[0], low[1], low[2], low[3])
    };
    let (a, b) = (host(&mut scene.random, net), host(&mut scene.random, net));
    let next = host(&mut scene.random, net ^ 1);
    let one = scene.key(&mut door, Ask::from(a)).await?;
    let same = scene.key(&mut door, Ask::from(b)).await?;
    same.is(&one, "one customer's /64, in which they may change at will")?;
    let other = scene.key(&mut door, Ask::from(next)).await?;
    other.is_not(&one, "two networks")?;

    scene.world.history().turn_page();
    let (c, d) = (Ipv4Addr::new(203, 0, 113, 7), Ipv4Addr::new(198, 51, 100, 7));
    let four = scene.key(&mut door, Ask::from(c)).await?;
    let mapped = scene.key(&mut door, Ask::from(c.to_ipv6_mapped())).await?;
    mapped.is(&four, "one IPv4 address, as two kinds of sockets show it")?;
    let stranger = scene.key(&mut door, Ask::from(d.to_ipv6_mapped())).await?;
    stranger.is_not(&mapped, "two IPv4 addresses on an IPv6 socket")
}
