//! Two at once, through the tool: whoever comes second is told so, and no state is ever reached that
//! the app must not be in.

use std::thread::sleep;
use std::time::Duration;

use super::*;
use crate::support::Run;
use crate::support::campaign::{figure, tell};

/// Rounds of a race; each begins from the same state and ends in one that is allowed.
fn race(
    name: &str,
    prepare: &str,
    both: impl Fn(&TestDb) -> [Invocation; 2],
    judge: impl Fn(&Session, [Run; 2]),
) {
    let rounds = figure("ADMIN_RACES", 3);
    let db = TestDb::migrated();
    let session = db.session();
    let reset = format!(
        "BEGIN;
         SELECT markenmate.open_gate('the next round');
         UPDATE public.\"user\" SET role = 'user', is_master_admin = false WHERE is_master_admin OR role = 'admin';
         UPDATE public.\"user\" SET role = 'admin' WHERE email IN ('{SEED}', '{SECOND}');
         {prepare};
         COMMIT"
    );
    let (mut both_done, mut one_done) = (0, 0);
    for round in 0..rounds {
        session.sql(&reset);
        let [first, second] = both(&db);
        let (first, second) = if round % 2 == 0 {
            let first = first.spawn();
            (first, second.spawn())
        } else {
            let second = second.spawn();
            (first.spawn(), second)
        };
        let runs = [first.wait(), second.wait()];
        for run in &runs {
            assert!([0, 4].contains(&run.code), "{}\n{}", run.stdout, run.stderr);
        }
        match runs.iter().filter(|run| run.code == 0).count() {
            2 => both_done += 1,
            1 => one_done += 1,
            _ => panic!("nobody won: {} {}", runs[0].stdout, runs[1].stdout),
        }
        let admins: u32 =
            one(&session, "SELECT count(*) FROM public.\"user\" WHERE role = 'admin'")
                .parse()
                .unwrap();
        let flags: u32 =
            one(&session, "SELECT count(*) FROM public.\"user\" WHERE is_master_admin")
                .parse()
                .unwrap();
        assert!(admins >= 1 && flags <= 1, "{admins} admins, {flags} masters");
        judge(&session, runs);
    }
    tell(&format!(
        "{name}: {rounds} rounds, {one_done} with one winner, {both_done} with two, never without an admin or with two masters"
    ));
    let tokens = "SELECT count(*) FROM public.step_up_token WHERE NOT used";
    assert_eq!(one(&session, tokens), "0");
}

#[test]
fn two_admins_demote_each_other() {
    race(
        "two admins demote each other",
        "SELECT",
        |db| {
            [
                act(db, &["admin", "demote", SEED]),
                acting(db, &["admin", "demote", SECOND], SEED, SEED_PASSWORD),
            ]
        },
        |session, runs| {
            assert_ne!(runs[0].code, runs[1].code);
            assert_eq!(
                one(session, "SELECT count(*) FROM public.\"user\" WHERE role = 'admin'"),
                "1"
            );
        },
    );
}

/// Their rows are not the same: they meet at the database's own guard.
#[test]
fn the_last_two_admins_are_demoted_with_broken_glass() {
    race(
        "two demotions with broken glass",
        "SELECT",
        |db| [SEED, SECOND].map(|admin| break_glass(db, &["admin", "demote", admin])),
        |session, runs| {
            assert_ne!(runs[0].code, runs[1].code);
            assert_eq!(
                one(session, "SELECT count(*) FROM public.\"user\" WHERE role = 'admin'"),
                "1"
            );
        },
    );
}

#[test]
fn two_transfers() {
    let to = |db: &TestDb, user: &str| {
        act(
            db,
            &[
                "set-master-admin",
                user,
                "--transfer",
                "--allow-default-password",
                "--allow-no-login",
            ],
        )
    };
    race(
        "two transfers",
        &format!(
            "UPDATE public.\"user\" SET role = 'admin' WHERE email = '{THIRD}';
             UPDATE public.\"user\" SET is_master_admin = true WHERE email = '{SECOND}'"
        ),
        |db| [to(db, SEED), to(db, THIRD)],
        |session, runs| {
            assert_ne!(runs[0].code, runs[1].code);
            let winner = if runs[0].code == 0 { SEED } else { THIRD };
            assert_eq!(masters(session), winner);
        },
    );
}

#[test]
fn two_first_masters() {
    let to = |db: &TestDb, user: &str| {
        let args = ["set-master-admin", user, "--allow-default-password"];
        markenmate(&[&args[..], &JSON].concat()).db(db)
    };
    race(
        "two set-master-admin of different users",
        "SELECT",
        |db| [to(db, SEED), to(db, SECOND)],
        |session, runs| {
            assert_ne!(runs[0].code, runs[1].code);
            assert_eq!(masters(session), if runs[0].code == 0 { SEED } else { SECOND });
        },
    );
}

#[test]
fn the_same_first_master_twice() {
    let first = |db: &TestDb| {
        let args = ["set-master-admin", "--allow-default-password"];
        markenmate(&[&args[..], &JSON].concat()).db(db)
    };
    race(
        "two set-master-admin without a name",
        "SELECT",
        |db| [first(db), first(db)],
        |session, runs| {
            assert_eq!(masters(session), SEED);
            let outcomes = runs.map(|run| run.json()["outcome"].as_str().unwrap().to_owned());
            assert!(outcomes.contains(&"done".to_owned()), "{outcomes:?}");
            assert!(outcomes.contains(&"nothing_to_do".to_owned()), "{outcomes:?}");
        },
    );
}

/// The app deletes whom the tool promotes.
#[test]
fn a_promotion_against_a_deletion() {
    let rounds = figure("ADMIN_RACES", 3);
    let db = TestDb::migrated();
    let session = db.session();
    let deleter = db.session();
    let whole = act(&db, &["admin", "promote", OTHER]).run().assert_code(0).millis;
    let (mut promoted, mut too_late) = (0, 0);
    for round in 0..rounds {
        session.sql(
            "DELETE FROM public.\"user\" WHERE id = 'raced';
             INSERT INTO public.\"user\" (id, name, email) VALUES ('raced', 'r', 'raced@example.de')",
        );
        let running = act(&db, &["admin", "promote", "raced"]).spawn();
        // The later half of a run, and a little more: the change is made there.
        let share = f64::from(2 * round + 1) / f64::from(2 * rounds);
        sleep(Duration::from_millis(whole).mul_f64(0.5 + 0.7 * share));
        deleter.sql("DELETE FROM public.\"user\" WHERE id = 'raced'");
        let run = running.wait();
        match run.code {
            0 => promoted += 1,
            4 => too_late += 1,
            _ => panic!("{}\n{}", run.stdout, run.stderr),
        }
        let there = "SELECT count(*) FROM public.\"user\" WHERE id = 'raced'";
        assert_eq!(one(&session, there), "0");
        let run_id = run.json()["run_id"].as_str().unwrap().to_owned();
        let done = format!(
            "SELECT (SELECT count(*) FROM markenmate.ledger WHERE run_id = '{run_id}' AND outcome = 'done')::text
                 || (SELECT count(*) FROM (SELECT correlation_id, action FROM public.audit_log UNION ALL
                                           SELECT correlation_id, action FROM markenmate.audit_log_archive) a
                      WHERE correlation_id = '{run_id}' AND action = 'CHANGE_ROLE')::text"
        );
        assert_eq!(one(&session, &done), if run.code == 0 { "11" } else { "00" });
    }
    tell(&format!(
        "promotion against deletion: {rounds} rounds, {promoted} promoted first, {too_late} too late"
    ));
}
