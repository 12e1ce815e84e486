//! Admins: the first one, promotions and demotions, passwords, and all of it at once.

mod attempts;
mod broken;
mod kills;
mod lost;
mod master;
mod members;
mod proof;
mod races;
mod roles;
mod told;

use crate::support::state::one;
use crate::support::{Invocation, Session, TestDb, markenmate};

/// The sample's three admins: the app's seed account, one with a password of their own, and one who
/// signs in elsewhere.
const SEED: &str = "admin@markenmate.app";
const SECOND: &str = "Zweite.Admin@Example.de";
const THIRD: &str = "dritter@example.de";
/// What the first two sign in with.
const SEED_PASSWORD: &str = "Admin2024!";
const PASSWORD: &str = "Größe-Übung-7";
/// Ordinary users.
const USER: &str = "person22@example.de";
const OTHER: &str = "person24@example.de";

/// What is said without the right password.
const NOT_RIGHT: &str = "There is no such user, or the password is another. Nothing was changed.";

const JSON: [&str; 3] = ["--yes", "--format", "json"];

/// On the word of the second admin, whose password comes by standard input.
fn act(db: &TestDb, args: &[&str]) -> Invocation {
    acting(db, args, SECOND, PASSWORD)
}

fn acting(db: &TestDb, args: &[&str], admin: &str, password: &str) -> Invocation {
    let by = ["--as", admin, "--admin-password-stdin"];
    // Everybody knows the first one's.
    let known: &[_] = if admin == SEED { &["--allow-default-password"] } else { &[] };
    let known = if args.contains(&"--allow-default-password") { &[] } else { known };
    markenmate(&[args, &by[..], known, &JSON[..]].concat()).db(db).stdin(format!("{password}\n"))
}

/// Without any admin.
fn break_glass(db: &TestDb, args: &[&str]) -> Invocation {
    let broken = ["--break-glass", "--reason", "nobody can sign in", "--confirm", &db.name];
    markenmate(&[args, &broken[..], &["--format", "json"]].concat()).db(db)
}

fn user(session: &Session, column: &str, email: &str) -> String {
    one(session, &format!("SELECT {column}::text FROM public.\"user\" WHERE email = '{email}'"))
}

fn role(session: &Session, email: &str) -> String {
    user(session, "role", email)
}

fn id(session: &Session, email: &str) -> String {
    user(session, "id", email)
}

/// Emails of who has the flag.
fn masters(session: &Session) -> String {
    let sql =
        "SELECT string_agg(email, ' ' ORDER BY email) FROM public.\"user\" WHERE is_master_admin";
    one(session, sql)
}

/// Audit rows, a line each: who, what, whom, and the metadata.
fn audit(session: &Session) -> String {
    one(
        session,
        "SELECT string_agg(concat_ws(' ', u.email, l.action, t.email, l.metadata), E'\\n' ORDER BY l.id)
           FROM public.audit_log l JOIN public.\"user\" u ON u.id = l.user_id
           LEFT JOIN public.\"user\" t ON t.id = l.target_user_id",
    )
}

/// The ledger's rows of these commands, a line each.
fn ledger(session: &Session) -> String {
    one(
        session,
        "SELECT string_agg(command || ' ' || outcome, E'\\n' ORDER BY number) FROM markenmate.ledger
          WHERE command LIKE '%admin%'",
    )
}
