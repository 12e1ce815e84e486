//! Killed at any moment: the change and what is written about it are both there, or neither is.

use std::thread::sleep;
use std::time::Duration;

use super::*;
use crate::support::campaign::{figure, tell};
use crate::support::wait_until;

/// Every statement that writes a row takes so much longer, so that kills fall between them.
fn slow_down(session: &Session, time: Duration) {
    session.sql(&format!(
        "CREATE SCHEMA slow;
         CREATE FUNCTION slow.wait() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
             IF current_setting('application_name') = 'markenmate' THEN PERFORM pg_sleep({}); END IF;
             RETURN NULL;
         END $$;
         CREATE TRIGGER slow AFTER INSERT OR UPDATE ON public.step_up_token EXECUTE FUNCTION slow.wait();
         CREATE TRIGGER slow AFTER INSERT ON public.audit_log EXECUTE FUNCTION slow.wait();
         CREATE TRIGGER slow AFTER UPDATE ON public.\"user\" EXECUTE FUNCTION slow.wait()",
        time.as_secs_f64()
    ));
}

#[test]
fn a_killed_change_is_whole_or_not_there() {
    let rounds = figure("ADMIN_KILLS", 6);
    let db = TestDb::migrated();
    let session = db.session();
    slow_down(&session, Duration::from_millis(25));
    let whole = act(&db, &["admin", "promote", USER]).run().assert_code(0).millis;
    session.sql(&format!("UPDATE public.\"user\" SET role = 'user' WHERE email = '{USER}'"));
    let (mut done, mut not_done) = (0, 0);
    for round in 0..rounds {
        let written = "SELECT concat_ws(' ', (SELECT count(*) FROM public.audit_log WHERE action = 'CHANGE_ROLE'),
                              (SELECT count(*) FROM public.audit_log WHERE action = 'STEP_UP_AUTH_SUCCESS'),
                              (SELECT count(*) FROM public.step_up_token WHERE used),
                              (SELECT count(*) FROM markenmate.ledger WHERE command = 'admin promote' AND outcome = 'done'))";
        let before = one(&session, written);
        let running = act(&db, &["admin", "promote", USER]).spawn();
        sleep(Duration::from_millis(whole) * (2 * round + 1) / (2 * rounds));
        running.signal("KILL");
        drop(running);
        let mine = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'markenmate' AND datname = current_database()";
        assert!(wait_until(Duration::from_secs(20), || one(&session, mine) == "0"));
        let counts =
            |line: &str| -> Vec<u32> { line.split(' ').map(|n| n.parse().unwrap()).collect() };
        let new: Vec<u32> = counts(&one(&session, written))
            .iter()
            .zip(counts(&before))
            .map(|(now, then)| now - then)
            .collect();
        // The attempt is counted until it is known to be right; many of them would lock out.
        let charged = "WITH gone AS (DELETE FROM public.audit_log WHERE action = 'STEP_UP_AUTH_FAILURE' RETURNING 1) SELECT count(*) FROM gone";
        let charged = one(&session, charged);
        match role(&session, USER).as_str() {
            "admin" => {
                assert_eq!((new, charged.as_str()), (vec![1; 4], "0"));
                done += 1;
                session.sql(&format!(
                    "UPDATE public.\"user\" SET role = 'user' WHERE email = '{USER}'"
                ));
            }
            _ => {
                assert_eq!(new, [0; 4]);
                assert!(["0", "1"].contains(&charged.as_str()), "{charged} for one attempt");
                not_done += 1;
            }
        }
        assert_eq!(one(&session, "SELECT count(*) FROM public.step_up_token WHERE NOT used"), "0");
    }
    tell(&format!(
        "{rounds} runs killed at moments of {whole} ms: {done} whole, {not_done} not there, 0 half-done"
    ));
    // What was killed keeps nobody waiting.
    act(&db, &["admin", "promote", USER]).run().assert_code(0);
}
