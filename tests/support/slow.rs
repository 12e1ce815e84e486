//! Stretching a migration, so that something can happen in the middle of it.

use super::{Session, wait_until};
use crate::support::state::one;
use std::time::Duration;

/// Makes every DDL command of the binary take so much longer. Only a superuser's event trigger can.
pub fn slow_down(session: &Session, time: Duration) {
    session.sql(&format!(
        "CREATE SCHEMA faults;
         CREATE FUNCTION faults.wait() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
         BEGIN
             IF current_setting('application_name') = 'markenmate' THEN
                 PERFORM pg_sleep({});
             END IF;
         END $$;
         CREATE EVENT TRIGGER faults ON ddl_command_end EXECUTE FUNCTION faults.wait()",
        time.as_secs_f64()
    ));
}

pub fn speed_up(session: &Session) {
    session.sql("DROP EVENT TRIGGER faults; DROP SCHEMA faults CASCADE");
}

/// Waits until a session of the binary is inside a slowed command.
#[track_caller]
pub fn wait_until_asleep(session: &Session) {
    let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'markenmate' \
                  AND datname = current_database() AND wait_event = 'PgSleep'";
    assert!(wait_until(Duration::from_secs(30), || one(session, sleeps) == "1"));
}

/// Waits until the binary has this lock on one of the application's tables.
#[track_caller]
pub fn wait_until_locked(session: &Session, table: &str) {
    let holds = format!(
        "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.granted \
         AND a.application_name = 'markenmate' AND l.mode = 'AccessExclusiveLock' \
         AND l.relation = 'public.{table}'::regclass"
    );
    assert!(wait_until(Duration::from_secs(30), || one(session, &holds) == "1"));
}
