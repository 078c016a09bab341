//! What the health of a service, and its way out, must withstand.

mod asking;
mod leaving;
mod living;
mod scene;
mod sharing;
mod telling;

use asking::{
    all_at_once, for_ever, given_up, hanging_redis, hanging_together, panicking_check,
    timeout_is_configured,
};
use circuit_breakers::health_checks::Health;
use leaving::{
    drain_during_a_probe, drain_fails_readiness, drained_twice, lost_are_counted,
    under_way_is_waited_for, who_breaks_off,
};
use living::{liveness_asks_nobody, not_ready_before_start, redis_comes_back};
use sharing::{
    flood_is_one_round, fresh_for_no_longer, fresh_from_its_end, fresh_is_shared, prober_hangs_up,
};
use telling::{answer_by_status, one_name, optional_warns, own_time, secrets_stay_inside};

const PAGE: &str = "docs/lessons/health_checks.md";

grading::checks! { S: Health; read(PAGE);
    liveness_asks_nobody: "liveness holds while Redis hangs or is gone, and asks nobody",
    not_ready_before_start: "who is starting is alive and not ready, and asks nobody yet",
    redis_comes_back: "readiness fails with a Redis that is killed, and returns with it",
    hanging_redis: "a Redis that is stopped costs a probe its timeout, and not its answer",
    all_at_once: "all dependencies are asked at the same time",
    hanging_together: "eight that hang cost one timeout, and not eight",
    timeout_is_configured: "each dependency has the time that was configured, no more, no less",
    panicking_check: "a check that panics has failed, that one and that once",
    given_up: "what has not answered in time is dropped, round after round",
    for_ever: "a time that is longer than any clock is for ever, and no panic",
    own_time: "each dependency is told with the time that it took itself",
    one_name: "two dependencies of one name are two, in the report and in its JSON",
    flood_is_one_round: "a hundred probes at once ask each dependency once",
    fresh_is_shared: "a fresh report is shared: it asks nobody again",
    fresh_from_its_end: "a report is fresh from the end of its round, however long that took",
    fresh_for_no_longer: "good news and bad are forgotten when they are no longer fresh",
    prober_hangs_up: "a prober that hangs up takes nothing from the others",
    optional_warns: "what only helps takes nobody out: it warns, and is 200",
    secrets_stay_inside: "a report says what is wrong, and no password",
    answer_by_status: "a load balancer reads 200 or 503, and people read JSON",
    drain_fails_readiness: "who leaves is not ready at once, and stays alive",
    drain_during_a_probe: "a probe that is answered after the drain is told of it",
    under_way_is_waited_for: "a drain waits for all that is under way, late comers too",
    lost_are_counted: "a drain ends with its time, and says what it loses",
    drained_twice: "who waits for the end of a drain takes nothing from others who do",
    who_breaks_off: "who panics or hangs up is under way no longer",
}
