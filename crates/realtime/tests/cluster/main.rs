//! Many nodes over a real RabbitMQ and a real Redis.
//!
//! The same program is also a node that can be killed: see [`killed`].
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod books;
#[path = "../support/cluster.rs"]
mod cluster;
mod doors;
mod faults;
mod identities;
mod jumps;
mod jwks;
mod jwt;
mod jwts;
mod killed;
mod limits;
mod nodes;
mod revoked;
mod rooms;
mod rules;
#[path = "../identities/tokens.rs"]
#[allow(dead_code, reason = "shared with tests that use more of it")]
mod tokens;

use std::future::Future;

use libtest_mimic::{Arguments, Trial};

fn test<F: Future<Output = ()> + 'static>(name: &str, run: fn() -> F) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        runtime.block_on(run());
        Ok(())
    })
}

macro_rules! tests {
    ($($module:ident::$name:ident,)*) => {
        vec![$(test(concat!(stringify!($module), "::", stringify!($name)), $module::$name)),*]
    };
}

fn main() {
    if let Some(cluster) = killed::asked_to_be_a_node() {
        return killed::be_a_node(&cluster);
    }
    let tests = tests![
        books::one_message_dropped_and_one_doubled_are_found,
        books::the_checker_finds_what_is_wrong,
        books::every_session_gets_every_message_once_and_in_order,
        books::over_redis_alone_every_session_gets_every_message_once_and_in_order,
        books::over_redis_with_faults_what_is_missing_was_reported,
        books::with_faults_what_is_missing_was_reported,
        doors::a_page_learns_on_every_node_why_it_was_refused,
        doors::who_shows_nothing_is_closed_on_every_node_in_its_time,
        doors::a_token_in_the_first_message_opens_a_session_on_any_node_that_lives,
        faults::a_memory_alarm_is_seen_as_blocked,
        faults::a_message_of_a_later_version_is_refused_and_counted,
        faults::a_node_that_lost_its_own_link_is_not_pruned,
        faults::a_store_that_refuses_renewals_is_down_until_it_accepts_them,
        faults::a_session_that_could_not_be_registered_is_soon,
        faults::one_node_id_is_for_one_node,
        faults::rabbitmq_goes_and_comes_back,
        faults::redis_comes_back_empty,
        faults::redis_is_away,
        identities::sessions_outlive_their_tokens_a_killed_node_and_the_store_of_revocations,
        jumps::a_clock_that_jumps_ends_nobody_and_lets_nobody_live_longer,
        jwks::keys_change_while_their_issuer_is_away_and_a_node_is_killed,
        jwt::a_jwt_ends_is_shown_anew_and_revoked_by_its_id,
        killed::a_killed_node_is_gone_for_a_targeted_message_at_once,
        killed::a_killed_node_is_gone_from_presence_within_its_lease,
        killed::a_revoked_user_is_out_everywhere_though_a_node_was_killed,
        killed::the_place_of_a_session_on_a_killed_node_is_free_with_its_lease,
        killed::a_killed_node_is_missing_in_a_receipt_until_that_is_known,
        limits::the_newest_is_refused_and_comes_in_for_one_of_a_killed_node,
        limits::the_oldest_is_closed_wherever_it_is_and_those_of_a_killed_node_count_by_their_age,
        limits::while_presence_is_away_each_node_counts_its_own_and_afterwards_all_are_counted,
        limits::messages_of_an_identity_count_on_each_node,
        revoked::a_tenant_is_out_on_two_nodes_but_for_what_was_issued_since,
        rules::a_rule_is_asked_again_on_the_node_of_the_one_whom_another_node_changes,
        rooms::the_checker_of_rooms_finds_what_is_wrong,
        rooms::within_one_process_rooms_lose_nothing,
        rooms::over_redis_rooms_lose_nothing,
        rooms::over_rabbitmq_rooms_lose_nothing,
        rooms::over_nats_rooms_lose_nothing,
        rooms::over_redis_a_killed_node_loses_nothing_of_rooms,
        rooms::over_rabbitmq_a_killed_node_loses_nothing_of_rooms,
        rooms::rooms_while_redis_as_broker_goes_down_and_up,
        rooms::rooms_while_rabbitmq_goes_down_and_up,
        rooms::rooms_while_redis_alone_is_emptied,
        rooms::rooms_while_redis_beside_rabbitmq_is_emptied,
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}
