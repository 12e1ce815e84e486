//! Rows of the guide's archive that stand elsewhere as well.

use super::columns::{Column, Fit};
use super::ground::Due;
use crate::db::identifiers::quoted;
use crate::db::template::fill;

/// What a key of the application's sets to NULL when a user is deleted: whom the row was about.
const FORGOTTEN: &str = "target_user_id";

/// What the application's own table is to the guide's archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Twins {
    /// How a row of the application's table fits into our archive.
    pub live: Fit,
    /// The columns by which a row there and one in the guide's archive are the same.
    shared: Vec<String>,
}

impl Twins {
    pub(super) fn new(live: Fit, table: &[Column], guide: &Fit) -> Self {
        let has = |name: &&str| table.iter().any(|column| column.name == **name);
        let shared = guide.columns().filter(|name| *name != FORGOTTEN).filter(has);
        let shared = shared.map(str::to_owned).collect();
        Self { live, shared }
    }

    /// The statement that takes all of it over.
    pub(super) fn sql(&self, due: &Due, cleanup: i64) -> String {
        let same: Vec<String> =
            due.fit.columns().filter(|name| *name != FORGOTTEN).map(str::to_owned).collect();
        let lives: Vec<&str> = self.live.columns().collect();
        let extra: Vec<String> =
            due.fit.columns().filter(|name| !lives.contains(name)).map(quoted).collect();
        let extra =
            |row: &str| extra.iter().map(|name| format!(", {row}{name}")).collect::<String>();
        // The fullest of several is kept.
        let fullest = due.fit.columns().any(|name| name == FORGOTTEN);
        fill(
            include_str!("take_over.sql"),
            &[
                ("SHAPE", &due.fit.shape("public.audit_log_archive")),
                ("LIVE_SHAPE", &self.live.shape("public.audit_log")),
                ("COLUMNS", &due.fit.names()),
                ("VALUES", &due.fit.values()),
                ("LIVE_COLUMNS", &self.live.names()),
                ("LIVE_VALUES", &self.live.values()),
                ("EXTRA_COLUMNS", &extra("")),
                ("EXTRA_VALUES", &extra("g.")),
                ("SAME_AS_LIVE", &same_as(&self.shared)),
                ("SAME_AS_KEPT", &same_as(&same)),
                ("SAME_COLUMNS", &texts("t", &same).join(", ")),
                ("FULLEST", if fullest { ", t.target_user_id" } else { "" }),
                ("CLEANUP", &cleanup.to_string()),
            ],
        )
    }
}

/// Rows `t` and `g` say the same, whatever the types are; by id first, which makes it a join.
fn same_as(columns: &[String]) -> String {
    let pairs = texts("t", columns).into_iter().zip(texts("g", columns));
    let same = pairs.map(|(one, other)| format!("{one} IS NOT DISTINCT FROM {other}"));
    same.fold("t.id = g.id".to_owned(), |all, same| format!("{all} AND {same}"))
}

fn texts(row: &str, columns: &[String]) -> Vec<String> {
    let text = |name: &String| format!("{row}.{}::text", quoted(name));
    columns.iter().map(text).collect()
}
