//! Two clients that know nothing of the tool, at the same moment: nobody ends with no admin, two
//! masters, a lost update or a token spent twice. Without guards the same rounds do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;
use std::thread::{scope, sleep};
use std::time::Duration;

use crate::support::app::{FIXTURE, at_version, past_guards, said};
use crate::support::campaign::{figure, tell};
use crate::support::state::one;
use crate::support::{Session, TestDb};

const LEVELS: [&str; 3] = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"];

/// One transaction: what the client looks at first, and what it does where the answer is `t`.
type Side = (&'static str, &'static [&'static str]);

struct Race {
    name: &'static str,
    /// What is so beforehand, made past the guards.
    before: &'static str,
    sides: [Side; 2],
    /// The same where there is no function for it.
    unguarded: Option<[Side; 2]>,
    /// How many of two may be told that all went well.
    winners: &'static [usize],
}

const TWO_ADMINS: &str = r#"SELECT count(*) > 1 FROM "user" WHERE role = 'admin'"#;
const NO_MASTER: &str = r#"SELECT count(*) = 0 FROM "user" WHERE is_master_admin"#;
const FRESH: &str =
    "SELECT count(*) = 1 FROM step_up_token WHERE id = 9001 AND NOT used AND expires_at >= now()";
const VERSION_1: &str = "SELECT version = 1 FROM token_lending WHERE id = 9001";
const THREE_ADMINS: &str = r#"UPDATE public."user" SET role = 'admin' WHERE id = 'uta';
    UPDATE public."user" SET is_master_admin = true WHERE id = 'ada'"#;
const GIVE_UP: &str = r#"UPDATE "user" SET is_master_admin = false WHERE is_master_admin"#;

#[rustfmt::skip]
const RACES: [Race; 6] = [
    Race {
        name: "two admins demote each other", before: "SELECT", unguarded: None, winners: &[1],
        sides: [(TWO_ADMINS, &[r#"UPDATE "user" SET role = 'user' WHERE id = 'ben'"#]),
                (TWO_ADMINS, &[r#"UPDATE "user" SET role = 'user' WHERE id = 'ada'"#])],
    },
    Race {
        name: "two transfers", before: THREE_ADMINS, winners: &[1, 2],
        sides: [("SELECT true", &["SELECT markenmate.set_master_admin('ben', true)"]),
                ("SELECT true", &["SELECT markenmate.set_master_admin('uta', true)"])],
        unguarded: Some([("SELECT true", &[GIVE_UP, r#"UPDATE "user" SET is_master_admin = true WHERE id = 'ben'"#]),
                         ("SELECT true", &[GIVE_UP, r#"UPDATE "user" SET is_master_admin = true WHERE id = 'uta'"#])]),
    },
    Race {
        name: "two updates of one lending", before: "SELECT", unguarded: None, winners: &[1],
        sides: [(VERSION_1, &["UPDATE token_lending SET token_count = 6, version = version + 1 WHERE id = 9001 AND version = 1"]),
                (VERSION_1, &["UPDATE token_lending SET token_count = 7, version = version + 1 WHERE id = 9001 AND version = 1"])],
    },
    Race {
        name: "two spends of one token", before: "SELECT", unguarded: None, winners: &[1],
        sides: [(FRESH, &["UPDATE step_up_token SET used = true WHERE id = 9001", "INSERT INTO app_log (message) VALUES ('spent')"]),
                (FRESH, &["UPDATE step_up_token SET used = true WHERE id = 9001", "INSERT INTO app_log (message) VALUES ('spent')"])],
    },
    Race {
        name: "two flags set at once", before: "SELECT", unguarded: None, winners: &[1],
        sides: [(NO_MASTER, &[r#"UPDATE "user" SET is_master_admin = true WHERE id = 'ada'"#]),
                (NO_MASTER, &[r#"UPDATE "user" SET is_master_admin = true WHERE id = 'ben'"#])],
    },
    Race {
        name: "promote and step down, against delete", winners: &[1], unguarded: None,
        before: r#"UPDATE public."user" SET role = 'user' WHERE id = 'ben'"#,
        sides: [("SELECT true", &[r#"UPDATE "user" SET role = 'admin' WHERE id = 'uta'"#, r#"UPDATE "user" SET role = 'user' WHERE id = 'ada'"#]),
                (r#"SELECT role = 'user' FROM "user" WHERE id = 'uta'"#, &[r#"DELETE FROM "user" WHERE id = 'uta'"#])],
    },
];

/// What must never be, in words; nothing where all is well. `$1` clients were told that all went well.
const BROKEN: &str = r#"
SELECT concat_ws(', ', CASE WHEN (SELECT count(*) FROM "user" WHERE role = 'admin') = 0 THEN 'no admin' END,
    CASE WHEN (SELECT count(*) FROM "user" WHERE is_master_admin) > 1 THEN 'two masters' END,
    CASE WHEN EXISTS (SELECT FROM "user" WHERE is_master_admin AND role <> 'admin') THEN 'a master who is no admin' END,
    CASE WHEN EXISTS (SELECT FROM token_lending WHERE id = 9001 AND token_count > 5 AND version <> 1 + $1) THEN 'a lost update' END,
    CASE WHEN (SELECT count(*) FROM app_log WHERE message = 'spent') > 1 THEN 'a token spent twice' END)"#;

/// How a side ended: well, or as it was told; none where what it saw first told it to stop.
type End = Option<Result<(), String>>;

/// From nothing to two milliseconds, another time each time.
fn pause(state: &mut u64) {
    // Marsaglia's xorshift: the same moments in every run.
    for shift in [13, -7, 17_i32] {
        let by = shift.unsigned_abs();
        *state ^= if shift > 0 { *state << by } else { *state >> by };
    }
    sleep(Duration::from_micros(*state % 2000));
}

fn take_part(
    session: &Session,
    level: &str,
    side: Side,
    meet: Option<&Barrier>,
    mut moments: u64,
) -> End {
    let (look, does) = side;
    let mut go = || {
        session.sql(&format!("BEGIN ISOLATION LEVEL {level}"));
        pause(&mut moments);
        let seen = session.try_sql(look);
        meet.map(Barrier::wait);
        match seen {
            Err(error) => return Some(Err(said(error).0)),
            Ok(rows) if rows[0][0].as_deref() != Some("t") => return None,
            Ok(_) => {}
        }
        for sql in does.iter().chain(&["COMMIT"]) {
            pause(&mut moments);
            if let Err(error) = session.try_sql(sql) {
                return Some(Err(said(error).0));
            }
        }
        Some(Ok(()))
    };
    let end = go();
    session.sql("ROLLBACK");
    end
}

/// What came of some rounds of one race at one level.
#[derive(Debug, Default)]
struct Outcome {
    /// What must never be, once a round.
    broken: Vec<String>,
    /// SQLSTATEs of those who were told to stop.
    told: BTreeMap<String, u32>,
    /// How often so many of two were told that all went well.
    winners: [u32; 3],
}

fn run(db: &TestDb, race: &Race, sides: [Side; 2], level: &str, rounds: u32) -> Outcome {
    let (control, clients) = (db.session(), [db.session(), db.session()]);
    let mut outcome = Outcome::default();
    for round in 0..rounds {
        control.sql(FIXTURE);
        past_guards(&control, race.before);
        let barrier = Barrier::new(2);
        // Every other time both have looked before either of them acts.
        let meet = (round % 2 == 0).then_some(&barrier);
        let ends: Vec<End> = scope(|threads| {
            let seeds = [u64::from(round) * 2 + 1, u64::from(round) * 2 + 2];
            let started: Vec<_> = std::iter::zip(&clients, std::iter::zip(sides, seeds))
                .map(|(client, (side, seed))| {
                    let seed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                    threads.spawn(move || take_part(client, level, side, meet, seed))
                })
                .collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let won = ends.iter().filter(|end| matches!(end, Some(Ok(())))).count();
        outcome.winners[won] += 1;
        for end in ends {
            let told = match end {
                Some(Ok(())) => continue,
                Some(Err(state)) => state,
                None => "saw it".to_owned(),
            };
            *outcome.told.entry(told).or_default() += 1;
        }
        let broken = one(&control, &BROKEN.replace("$1", &won.to_string()));
        outcome.broken.extend((!broken.is_empty()).then_some(broken));
    }
    outcome
}

fn guarded(race: &Race) {
    let db = at_version(3);
    let rounds = figure("GUARD_ROUNDS", 3);
    for level in LEVELS {
        let outcome = run(&db, race, race.sides, level, rounds);
        assert_eq!(outcome.broken, [""; 0], "{}, {level}: {outcome:?}", race.name);
        let won: u32 = race.winners.iter().map(|number| outcome.winners[*number]).sum();
        assert_eq!(won, rounds, "{}, {level}: {outcome:?}", race.name);
        tell(&format!(
            "{}, {level}: {rounds} rounds, {} with one success, {} with two; the others: {:?}",
            race.name, outcome.winners[1], outcome.winners[2], outcome.told
        ));
    }
}

#[test]
fn two_admins_demote_each_other() {
    guarded(&RACES[0]);
}

#[test]
fn two_transfers() {
    guarded(&RACES[1]);
}

#[test]
fn two_updates_of_one_lending() {
    guarded(&RACES[2]);
}

#[test]
fn two_spends_of_one_token() {
    guarded(&RACES[3]);
}

#[test]
fn two_flags_set_at_once() {
    guarded(&RACES[4]);
}

#[test]
fn promote_and_step_down_against_delete() {
    guarded(&RACES[5]);
}

/// Were it not so, the others would prove nothing.
#[test]
fn without_guards_every_race_is_lost() {
    let db = at_version(2);
    let rounds = figure("GUARD_ROUNDS", 20);
    for race in &RACES {
        let mut broken = 0;
        for level in LEVELS {
            let sides = race.unguarded.unwrap_or(race.sides);
            let outcome = run(&db, race, sides, level, rounds);
            let words: BTreeSet<_> = outcome.broken.iter().collect();
            tell(&format!(
                "without guards: {}, {level}: {rounds} rounds, {} broken {words:?}; told: {:?}",
                race.name,
                outcome.broken.len(),
                outcome.told
            ));
            broken += outcome.broken.len();
        }
        assert!(broken > 0, "{}: {rounds} rounds at each level, and nothing broke", race.name);
    }
}
