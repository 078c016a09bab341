//! How often, for how long, and after which pause.

use super::scene::{Ended, Plan, Reply, STEPS, Stage, What, plan, play};
use grading::{Finding, World};
use sagas::orchestration::Orchestrator;
use sagas::saga::Patience;
use std::time::Duration;

const ROUNDS: usize = 60;

const PATIENCE: Patience = Patience {
    attempts: 7,
    first: Duration::from_millis(100),
    longest: Duration::from_secs(1),
    deadline: Duration::from_secs(60),
};

pub(super) async fn pauses<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |stage| {
        uniform::<S>(&stage, What::Act, Reply::NotDone, false).await?;
        uniform::<S>(&stage, What::Undo, Reply::NotDone, false).await
    })
    .await
}

pub(super) async fn pauses_in_the_dark<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |stage| {
        uniform::<S>(&stage, What::Act, Reply::NeverCame, false).await?;
        uniform::<S>(&stage, What::Act, Reply::NeverCame, true).await?;
        uniform::<S>(&stage, What::Ask, Reply::NotDone, true).await?;
        uniform::<S>(&stage, What::Undo, Reply::NeverCame, false).await
    })
    .await
}

/// Whether seven calls that all come to this are as far apart as they should be.
async fn uniform<S: Orchestrator>(
    stage: &Stage,
    what: What,
    reply: Reply,
    asked: bool,
) -> Result<(), Finding> {
    // How many pauses were in the lower half of what they may be.
    let mut low = [0; 6];
    let mut last = None;
    for _ in 0..ROUNDS {
        let scene = stage.scene::<S>();
        let plans =
            [STEPS[0], STEPS[1]].map(|step| if asked { plan(step).asked() } else { plan(step) });
        let saga = scene.services.saga("checkout", &plans, PATIENCE);
        scene.services.always(what, STEPS[0], reply.clone());
        match what {
            What::Act => {}
            What::Ask => scene.services.says(What::Act, STEPS[0], [Reply::Lost]),
            What::Undo => scene.services.always(What::Act, STEPS[1], Reply::Refused),
        }
        let mut ended = scene.runs(&saga).await?;
        ended.called.retain(|call| call.what == what && call.step == STEPS[0]);
        if ended.called.len() != 7 {
            let saw = format!("{} of them", ended.called.len());
            return Err(ended.not("seven attempts", saw));
        }
        let pauses = ended.between();
        for (nth, pause) in pauses.iter().enumerate() {
            let most = (PATIENCE.first * (1 << nth)).min(PATIENCE.longest);
            // Tokio's timers fire at the next whole millisecond.
            if *pause > most + Duration::from_millis(1) {
                let expected = format!("at most {most:?} after attempt {}", nth + 1);
                return Err(ended.not(expected, format!("{pause:?}")));
            }
            low[nth] += usize::from(*pause < most / 2);
        }
        let waited: Duration = pauses.iter().sum();
        // Who was asked in vain is no end: the action comes again, after its own pause.
        if what != What::Ask && ended.took > waited {
            let saw = format!("{:?} later", ended.took - waited);
            return Err(ended.not("an end at once after the last attempt", saw));
        }
        last = Some(ended);
    }
    // Of sixty tosses, between 9 and 51 but for one set in 10⁸.
    for (nth, low) in low.into_iter().enumerate() {
        if let Some(ended) = last.as_ref().filter(|_| !(9..=51).contains(&low)) {
            let expected =
                format!("the pause after attempt {} uniform, half in each half", nth + 1);
            return Err(ended.not(expected, format!("{low} of {ROUNDS} in the lower")));
        }
    }
    Ok(())
}

pub(super) async fn own_patience<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |stage| {
        for what in [What::Act, What::Ask, What::Undo] {
            for (at, name) in STEPS.into_iter().enumerate().take(3) {
                let scene = stage.scene::<S>();
                let plans: Vec<Plan> = STEPS[..4].iter().map(|step| plan(step).asked()).collect();
                let mut saga = scene.services.saga("checkout", &plans, PATIENCE);
                // No two have the same, nor a deadline that another's pauses could make up for.
                for (nth, (attempts, seconds)) in
                    [(3, 20), (5, 2_000), (2, 200), (4, 20_000)].into_iter().enumerate()
                {
                    let deadline = Duration::from_secs(seconds);
                    saga.steps[nth].patience = Patience { attempts, deadline, ..PATIENCE };
                }
                scene.services.always(what, name, Reply::Hangs);
                match what {
                    What::Act => {}
                    What::Ask => scene.services.says(What::Act, name, [Reply::Lost]),
                    What::Undo => scene.services.always(What::Act, STEPS[3], Reply::Refused),
                }
                let ended = scene.runs(&saga).await?;
                has_its_own(ended, what, name, saga.steps[at].patience)?;
            }
        }
        Ok(())
    })
    .await
}

/// Whether all calls of this were given up after the step's deadline, and as often as it has attempts.
fn has_its_own(
    mut ended: Ended,
    what: What,
    step: &str,
    patience: Patience,
) -> Result<(), Finding> {
    ended.called.retain(|call| call.what == what && call.step == step);
    let (attempts, deadline) = (patience.attempts as usize, patience.deadline);
    if ended.called.len() != attempts {
        let call = ended.called.first().map_or(step.to_owned(), ToString::to_string);
        let saw = format!("{} of them", ended.called.len());
        return Err(ended.not(format!("`{call}` {attempts} times, as its step says"), saw));
    }
    let most = deadline + patience.longest + Duration::from_millis(2);
    match ended.between().into_iter().find(|apart| *apart < deadline || *apart > most) {
        None => Ok(()),
        Some(apart) => {
            let expected = format!("`{}` given up after {deadline:?}", ended.called[0]);
            Err(ended.not(expected, format!("the next one {apart:?} later")))
        }
    }
}
