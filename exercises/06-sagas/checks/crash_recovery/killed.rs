//! A process that is killed at every point there is, one after the other.

use super::driver::{Job, all_stand_still};
use super::services::undisturbed;
use super::*;
use std::collections::HashMap;

/// The sagas of one process, and the proxies through which it reaches its journal.
struct Doomed<'a> {
    scene: &'a Scene,
    jobs: Vec<Job>,
    gates: HashMap<String, Gate>,
    proxies: Vec<Proxy>,
    /// How each was met, for the timeline.
    points: HashMap<String, String>,
    start: bool,
    forgetful: bool,
}

impl<'a> Doomed<'a> {
    fn of(scene: &'a Scene) -> Doomed<'a> {
        Doomed {
            scene,
            jobs: Vec::new(),
            gates: HashMap::new(),
            proxies: Vec::new(),
            points: HashMap::new(),
            start: true,
            forgetful: false,
        }
    }

    /// A saga whose driver dies before or after an effect.
    fn at(&mut self, order: &Order, stop: Stop) {
        let id = self.scene.id();
        self.points.insert(id.clone(), stop.to_string());
        let (order, postgres) = (order.clone(), self.scene.url.clone());
        self.jobs.push(Job { id, order, postgres, stop: Some(stop) });
    }

    /// A saga whose driver dies when the n-th statement has been carried out and is not answered.
    async fn behind(&mut self, order: &Order, nth: usize) -> Result<(), Finding> {
        let id = self.scene.id();
        let proxy = Proxy::before_postgres(&self.scene.url).await?;
        let gate = proxy.hold_reply(move |request| request.nth == nth);
        self.points.insert(id.clone(), format!("behind its statement {nth}"));
        self.gates.insert(id.clone(), gate);
        let (order, postgres) = (order.clone(), proxy.url().to_owned());
        self.proxies.push(proxy);
        self.jobs.push(Job { id, order, postgres, stop: None });
        Ok(())
    }

    /// Starts the process, waits until each saga is where it is to be met, and kills it: kill -9.
    async fn killed(&self) -> Result<Vec<String>, Finding> {
        let redis = self.scene.world.redis();
        let mut process = self.scene.world.process(&Orders {
            services: self.scene.url.clone(),
            redis: redis.url().to_owned(),
            ttl: u64::try_from(LONG_LEASE.ttl.as_millis()).unwrap_or(u64::MAX),
            start: self.start,
            forgetful: self.forgetful,
            jobs: self.jobs.clone(),
        })?;
        let ended = all_stand_still(&mut process, &self.jobs, &self.gates).await?;
        process.kill().await?;
        self.proxies.iter().for_each(Proxy::kill_connections);
        // As if the time of its leases were over. Nobody has to wait for that here.
        redis.flush_all().await?;
        Ok(ended)
    }

    fn sagas(&self) -> Vec<(String, Order)> {
        self.jobs.iter().map(|job| (job.id.clone(), job.order.clone())).collect()
    }

    /// What happened to one saga, as far as its services saw it.
    async fn told(&self, job: &Job) -> Result<(), Finding> {
        let history = self.scene.history();
        history.turn_page();
        let rows = "SELECT who || ' ' || what FROM attempt WHERE saga = $1 ORDER BY nth";
        let rows = self.scene.ask(rows, &job.id).await?;
        history.note("driver", format!("start {}", job.id));
        for what in rows.iter().filter_map(|row| row.strip_prefix("driver ")) {
            history.note("driver", what);
        }
        let point = self.points.get(&job.id).map_or("", String::as_str);
        drop(history.fault(format!("the driver is killed (kill -9), {point}")));
        history.note("successor", format!("takes over {}", job.id));
        for what in rows.iter().filter_map(|row| row.strip_prefix("successor ")) {
            history.note("successor", what);
        }
        Ok(())
    }
}

/// How many statements a saga needs by itself.
async fn statements<S: Recovery>(scene: &Scene, order: &Order) -> Result<usize, Finding> {
    let proxy = scene.world.postgres_client("driver").await?;
    let redis = scene.world.redis().url();
    let driver =
        scene.driver_at::<S>("driver", LONG_LEASE, undisturbed(), proxy.url(), redis).await?;
    driver.drives(&scene.id(), order).await?;
    let needed = proxy.counts().requests;
    landed(needed, "a saga was driven without a word to its journal")?;
    Ok(needed.min(STATEMENTS))
}

/// Another drives them to their end, and all is as it should be.
async fn recovers<S: Recovery>(doomed: &Doomed<'_>, repeated: usize) -> Result<(), Finding> {
    let scene = doomed.scene;
    let services = Services::open(&scene.url, "successor", Some(scene.history().clone()))?;
    let redis = scene.world.redis().url();
    let recovery = S::open(&scene.url, redis, LONG_LEASE)
        .map_err(|error| Evidence::new("open() to work", error.to_string()))?;
    let saga = checkout(&services, &undisturbed(), doomed.forgetful);
    let history = scene.history().clone();
    let successor = Driver { lane: "successor", recovery, saga, history };
    // One that was killed before it had begun is not known to anybody, but its customer.
    for job in &doomed.jobs {
        if scene.stands(&job.id).await? == "not begun" {
            successor.drives(&job.id, &job.order).await?;
        }
    }
    let left = scene.recovered(&successor, &doomed.sagas()).await;
    if let Err(unfinished) = left {
        for job in &doomed.jobs {
            if scene.stands(&job.id).await? == "unfinished" {
                doomed.told(job).await?;
                scene.ends(&job.id, &job.order, repeated).await?;
            }
        }
        return Err(unfinished);
    }
    for job in &doomed.jobs {
        doomed.told(job).await?;
        scene.ends(&job.id, &job.order, repeated).await?;
    }
    Ok(())
}

pub(super) async fn killed_in_an_action<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let order = Order::of("Ada");
    let mut doomed = Doomed::of(&scene);
    for what in order.effects() {
        doomed.at(&order, Stop::at(what, false));
        doomed.at(&order, Stop::at(what, true));
    }
    let ended = doomed.killed().await?;
    if let Some(id) = ended.first() {
        let point = doomed.points.get(id).cloned().unwrap_or_default();
        return Err(Evidence::new(format!("{id} to be met {point}"), "it has ended").into());
    }
    // What was begun, and had no entry.
    recovers::<S>(&doomed, 1).await
}

pub(super) async fn killed_at_a_statement<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let order = Order::of("Grace");
    let needed = statements::<S>(&scene, &order).await?;
    let mut doomed = Doomed::of(&scene);
    for nth in 1..=needed {
        doomed.behind(&order, nth).await?;
    }
    let ended = doomed.killed().await?;
    landed(doomed.jobs.len() - ended.len(), "no saga was met at a statement")?;
    // Who reads the journal now, and drives nothing, is told how it stands.
    for job in &doomed.jobs {
        let entries = "SELECT entry FROM saga_entry WHERE id = $1";
        let entries = scene.ask(entries, &job.id).await?;
        let stands = scene.stands(&job.id).await?;
        if entries.iter().any(|entry| entry.contains("mail")) && stands != "completed" {
            doomed.told(job).await?;
            let what = "with the last entry, `mail`, the outcome: completed";
            return Err(Evidence::new(what, stands)
                .at(scene.history().last("driver", "mail"))
                .into());
        }
    }
    recovers::<S>(&doomed, 1).await
}

pub(super) async fn killed_undoing<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let order = Order::refused("Alan");
    let needed = statements::<S>(&scene, &order).await?;
    let mut doomed = Doomed::of(&scene);
    for what in UNDOING {
        doomed.at(&order, Stop::at(what, false));
        doomed.at(&order, Stop::at(what, true));
    }
    // Before the refusal.
    doomed.at(&order, Stop::at("approve", false));
    for nth in 1..=needed {
        doomed.behind(&order, nth).await?;
    }
    doomed.killed().await?;
    recovers::<S>(&doomed, 1).await
}

pub(super) async fn killed_again<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let order = Order::refused("Barbara");
    let deaths = [
        Stop::at("reserve", true),
        Stop::at("charge", false),
        Stop::at("charge", true),
        Stop::at("refund", true),
    ];
    let mut doomed = Doomed::of(&scene);
    let mut points = Vec::new();
    for (nth, stop) in deaths.iter().enumerate() {
        points.push(stop.to_string());
        match doomed.jobs.first_mut() {
            None => doomed.at(&order, stop.clone()),
            Some(job) => job.stop = Some(stop.clone()),
        }
        doomed.start = nth == 0;
        doomed.killed().await?;
    }
    let id = doomed.jobs[0].id.clone();
    doomed.points.insert(id, format!("and so are three after it: {}", points.join(", ")));
    recovers::<S>(&doomed, deaths.len()).await
}

pub(super) async fn asked_first<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let order = Order::of("Edsger");
    let mut doomed = Doomed::of(&scene);
    doomed.forgetful = true;
    // One that was charged and must not be again, and one that was not and has to be.
    doomed.at(&order, Stop::at("charge", true));
    doomed.at(&order, Stop::at("charge", false));
    // The same before there is any entry.
    doomed.at(&order, Stop::at("place", true));
    doomed.at(&order, Stop::at("place", false));
    doomed.killed().await?;
    recovers::<S>(&doomed, 0).await
}
