//! Every target for a fixed number of rounds; the environment may ask for more.

use gatehouse_fuzz::{Plan, TARGETS, Target, run};

fn holds(target: &Target, rounds: u64) {
    let outcome = run(target, Plan::from_env(rounds));
    println!("{}: {outcome:?}", target.name);
    // Only damage that parsers both take and refuse says anything. Few rounds are somebody repeating a failure.
    let both = outcome.accepted > 0 && outcome.refused > 0;
    assert!(
        both || outcome.accepted + outcome.refused < 1_000,
        "{}: {outcome:?}",
        target.name
    );
}

macro_rules! targets {
    ($($test:ident: $name:literal, $rounds:literal;)*) => {
        $(
            #[test]
            fn $test() {
                let target = TARGETS.iter().find(|target| target.name == $name).unwrap();
                holds(target, $rounds);
            }
        )*

        #[test]
        fn every_target_has_a_test() {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$($name),*]);
        }
    };
}

targets! {
    json_is_bounded_and_canonical: "json", 10_000;
    events_are_built_and_read_back: "event", 5_000;
    pdus_read_as_themselves: "pdu", 10_000;
    state_answers_come_apart_however_they_come: "state_answer", 10_000;
    transactions_are_handed_on_part_by_part_as_they_came: "transaction", 5_000;
    headers_of_servers_say_one_thing_and_read_back: "x_matrix", 10_000;
    tokens_read_back_as_written: "token", 10_000;
    filters_are_bounded_and_read_back: "filter", 10_000;
    wildcards_match_as_the_plain_definition_says: "wildcard", 10_000;
    keys_read_back_and_keep_their_order: "key", 10_000;
    identifiers_are_their_text: "identifier", 10_000;
    queries_read_back_as_written: "query", 10_000;
    addresses_are_bare_and_canonical: "address", 10_000;
}

#[test]
#[should_panic(expected = "planted")]
fn a_broken_promise_is_found() {
    let target = Target {
        name: "planted",
        check: |data| {
            assert!(!data.contains(&b'%'), "planted");
            true
        },
        corpus: &[b"no such byte here"],
    };
    run(
        &target,
        Plan {
            rounds: 2_000,
            seed: 1,
        },
    );
}
