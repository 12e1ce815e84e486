//! What the versions above the first hold, wherever it is at the moment: in schema `public`, set aside, or half
//! of it on its way.

use std::collections::BTreeMap;

use super::Session;
use super::state::one;

/// Every row of every table of the application's, and where its sequences stand.
pub fn rows(session: &Session) -> BTreeMap<String, String> {
    let tables = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'";
    let names = session.sql(tables).into_iter().flatten().flatten();
    let mut all: BTreeMap<String, String> = names
        .map(|name| {
            let rows = format!(
                "SELECT string_agg(to_jsonb(t)::text, E'\\n' ORDER BY to_jsonb(t)::text COLLATE \"C\") FROM public.\"{name}\" t"
            );
            let rows = one(session, &rows);
            (name, rows)
        })
        .collect();
    let sequences = "SELECT string_agg(format('%s %s', sequencename, last_value), ', ' ORDER BY sequencename) \
                     FROM pg_sequences WHERE schemaname = 'public'";
    all.insert("sequences".into(), one(session, sequences));
    all
}

/// Says where they differ, without printing all of it.
#[track_caller]
pub fn same<K: Ord + std::fmt::Debug>(left: &BTreeMap<K, String>, right: &BTreeMap<K, String>) {
    assert_eq!(left.keys().collect::<Vec<_>>(), right.keys().collect::<Vec<_>>());
    for (name, left) in left {
        let right = &right[name];
        if left != right {
            let only = |a: &str, b: &str| {
                let b: std::collections::BTreeSet<&str> = b.lines().collect();
                a.lines().filter(|l| !b.contains(l)).take(3).collect::<Vec<_>>().join("\n")
            };
            panic!("{name:?}: only left\n{}\nonly right\n{}", only(left, right), only(right, left));
        }
    }
}

/// The same at every moment of a rollback and of what returns: rows by themselves, values as they are once
/// all has returned.
pub fn together(session: &Session) -> BTreeMap<&'static str, String> {
    let there =
        |name: &str| one(session, &format!("SELECT to_regclass('{name}') IS NOT NULL")) == "t";
    let registered = there("markenmate.set_aside");
    let kept = |table: &str, column: &str| -> Vec<String> {
        if !registered {
            return Vec::new();
        }
        let names = format!(
            "SELECT format('markenmate_quarantine.%I', name) FROM markenmate.set_aside \
              WHERE of_table = '{table}' AND coalesce(of_column, '') = '{column}' AND state <> 'returned' ORDER BY 1"
        );
        session.sql(&names).into_iter().flatten().flatten().collect()
    };
    let lines = |body: String| {
        one(
            session,
            &format!("SELECT string_agg(l, E'\\n' ORDER BY l COLLATE \"C\") FROM ({body}) x(l)"),
        )
    };
    let mut all = BTreeMap::new();
    for table in ["audit_log", "step_up_token"] {
        let mut from = kept(table, "");
        if there(&format!("public.{table}")) {
            from.push(format!("public.{table}"));
        }
        let mut each: Vec<_> =
            from.iter().map(|name| format!("SELECT to_jsonb(t)::text FROM {name} t")).collect();
        // Of users who are gone.
        if table == "audit_log" && there("markenmate.audit_log_archive") {
            each.push(
                "SELECT (to_jsonb(t) - '{archived_at,archive_id,reason,cleanup_id}'::text[])::text \
                   FROM markenmate.audit_log_archive t WHERE reason = 'user deleted'"
                    .into(),
            );
        }
        all.insert(table, lines(each.join(" UNION ALL ")));
    }
    let hardened = there("public.audit_log");
    for (table, column, none, sum) in [
        ("token_lending", "version", "1", "1 + sum(v - 1)"),
        ("app_log", "correlation_id", "NULL::text", "min(v)"),
        ("user", "is_master_admin", "false", "bool_or(v)"),
    ] {
        let own = if hardened { column } else { none };
        let mut from = vec![format!("SELECT id, {own} FROM public.\"{table}\"")];
        from.extend(
            kept(table, column).iter().map(|name| format!("SELECT id, {column} FROM {name}")),
        );
        let all_of_it = from.join(" UNION ALL ");
        let body =
            format!("SELECT concat_ws(' ', id, {sum}) FROM ({all_of_it}) y(id, v) GROUP BY id");
        all.insert(table, lines(body));
    }
    all
}

/// Nothing is left of what was set aside, and the register says so.
#[track_caller]
pub fn assert_nothing_kept(session: &Session) {
    let left = "SELECT string_agg(relname, ', ') FROM pg_class \
                WHERE relnamespace = to_regnamespace('markenmate_quarantine')";
    assert_eq!(one(session, left), "");
    let states = "SELECT string_agg(DISTINCT state, ', ') FROM markenmate.set_aside";
    assert_eq!(one(session, states), "returned");
}
