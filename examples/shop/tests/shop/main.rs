//! The whole shop, as a customer meets it, on what is embedded and on real servers.

mod asynchronous;
mod bad_input;
mod buying;
mod limits;
mod observe;
mod open;
mod operating;
mod outages;
mod tracing;

use open::Open;

/// Writes each test once for each pair of ports.
macro_rules! places {
    ($($module:ident: $($test:ident)*;)*) => {
        places! { @place embedded $($module: $($test)*;)* }
        places! { @place real $($module: $($test)*;)* }
    };
    (@place $place:ident $($module:ident: $($test:ident)*;)*) => {
        mod $place {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                crate::$module::$test(crate::Open::$place().await).await;
            })*)*
        }
    };
}

places! {
    buying:
        a_customer_buys_what_is_in_the_cart
        the_same_wish_is_one_order
        what_is_sold_out_is_refused_and_nothing_is_charged
        a_declined_card_buys_nothing
        what_is_asked_and_heard_is_one_mail
        the_last_pieces_are_sold_once
        a_day_of_trouble_adds_up;
    asynchronous:
        a_checkout_is_answered_at_once_and_tells_how_it_comes_along
        a_declined_card_is_undone_and_its_trace_says_so;
    bad_input:
        what_cannot_be_read_is_refused
        values_that_are_not_allowed_are_refused
        what_is_too_large_is_refused
        nobody_gets_in_without_a_token_of_ours
        nobody_sees_what_is_anothers
        only_staff_sets_prices;
    operating:
        switches_are_set_while_the_shop_runs
        every_service_says_how_it_is
        every_service_names_what_it_leans_on
        a_lost_cache_costs_no_request
        the_api_describes_itself;
    limits:
        every_answer_of_the_api_tells_its_quota
        a_client_is_a_user_a_key_or_an_address
        gateways_on_one_redis_share_their_quotas
        the_limit_is_switched_while_the_shop_runs
        a_lost_limiter_opens_or_closes_and_says_so;
    outages:
        a_provider_that_is_down_is_left_alone_and_found_again
        a_flaky_provider_is_asked_again_within_the_budget
        who_has_no_time_left_gets_nothing_and_owes_nothing;
    tracing:
        one_checkout_is_one_trace
        a_saga_goes_on_in_the_trace_that_began_it
        a_redelivery_is_a_span_of_its_own
        what_no_route_takes_is_counted_and_traced;
}

/// The same over RabbitMQ. Once: the suite of the bus port says that it is like the other side.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkout_is_told_over_rabbitmq() {
    let open = Open::brokered().await;
    asynchronous::a_checkout_is_answered_at_once_and_tells_how_it_comes_along(open).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_and_heard_over_rabbitmq_is_one_mail() {
    buying::what_is_asked_and_heard_is_one_mail(Open::brokered().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_checkout_over_rabbitmq_is_one_trace() {
    tracing::one_checkout_is_one_trace(Open::brokered().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redelivery_over_rabbitmq_is_a_span_of_its_own() {
    tracing::a_redelivery_is_a_span_of_its_own(Open::brokered().await).await;
}
