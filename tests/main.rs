//! Scenarios against the real binary and a real PostgreSQL: one test binary, one server, a fresh
//! database a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

mod support;

mod cases {
    mod admin;
    mod app_url;
    mod asked;
    mod back_beside;
    mod back_between;
    mod back_dependents;
    mod back_hostile;
    mod back_kills;
    mod back_locks;
    mod back_roles;
    mod backup;
    mod cleanup;
    mod cleanup_kills;
    mod cleanup_partial;
    mod cleanup_pressure;
    mod command_line;
    mod concurrency;
    mod connection;
    mod contracts;
    mod counters;
    mod coverage;
    mod doctor;
    mod elsewhere;
    mod export;
    mod export_files;
    mod export_rights;
    mod forecast;
    mod grants;
    mod guard_races;
    mod guards;
    mod guards_app;
    mod guards_edges;
    mod guards_hostile;
    mod history;
    mod house;
    mod kill;
    mod ledger;
    mod locks;
    mod lost_commit;
    mod main_job;
    mod masters;
    mod orphans;
    mod output;
    mod planted;
    mod pooler;
    mod probe;
    mod prompts;
    mod readme;
    mod rehearse;
    mod rehearse_hostile;
    mod restore;
    mod rights;
    mod rollback;
    mod sandbox;
    mod schedule;
    mod set_aside;
    mod signals;
    mod standing;
    mod stats;
    mod stats_audit;
    mod support;
    mod taken_over;
    mod told_twice;
    mod trust;
    mod verify;
    mod way_back;
}
