//! What a rollback keeps returns: the flags and sequences in the migration's own transaction, all else after it in
//! batches, each of them a transaction that takes rows out of where they are kept and puts them into the
//! application's tables. Ended at any moment, the next `migrate` goes on.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::batch::{self, is_passing, next_size, places, stopped, value};
use super::finish::{self, Returned};
use super::forgotten;
use super::parts::{Kind, Part, name};
use crate::context::Context;
use crate::db::foreign::{self, Scope};
use crate::db::identifiers::{literal, quoted};
use crate::db::locks;
use crate::db::session::{Mode, Rows, Session};
use crate::failure::{Failure, Kind as Failed};
use crate::migrations::registry;

/// A table in `markenmate_quarantine` that is to return, or is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its name there.
    pub name: String,
    /// The version that brought it.
    pub version: i32,
    /// The app's table.
    pub table: String,
    /// What of it; none: all.
    pub column: Option<String>,
    /// Some of it may have returned already.
    pub returning: bool,
    /// It is registered, and somebody dropped it.
    pub lost: bool,
}

/// The statement that reads [`Kept`].
pub const SQL: &str = include_str!("kept.sql");

const WHAT: &str = "cannot bring back what was set aside";

/// So often a batch is tried, smaller each time, before what else there is comes first.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(100);

impl Kept {
    /// Reads the answer to [`SQL`].
    pub fn from_rows(rows: &Rows) -> Vec<Self> {
        let kept = |row: &tokio_postgres::SimpleQueryRow| {
            Some(Self {
                name: row.get("name")?.to_owned(),
                version: row.get("version")?.parse().ok()?,
                table: row.get("of_table")?.to_owned(),
                column: row.get("of_column").map(str::to_owned),
                returning: row.get("state") == Some("returning"),
                lost: row.get("there") == Some("false"),
            })
        };
        rows.iter().filter_map(kept).collect()
    }

    /// `public.audit_log`, `public.token_lending.version`
    pub fn what(&self) -> String {
        name(&self.table, self.column.as_deref())
    }

    pub(super) fn part(&self) -> Option<&'static Part> {
        Part::find(&self.table, self.column.as_deref())
    }
}

/// In the open transaction, before the application's tables are locked: others' code is refused, which locks what is
/// looked into for a key.
pub(in crate::migrations) async fn refuse(session: &Session) -> Result<(), Failure> {
    session.run(WHAT, &foreign::refuse(Scope::Returning)).await.map(drop)
}

/// In the open transaction, before the guards are put up: the flags.
pub(in crate::migrations) async fn flags(session: &Session, target: i32) -> Result<(), Failure> {
    let Some(Kind::Column { fits, .. }) =
        Part::find("user", Some("is_master_admin")).map(|p| p.kind)
    else {
        return Ok(());
    };
    let sql = include_str!("flags.sql")
        .replace("%FITS%", &literal(fits))
        .replace("%GUARDED%", if target >= registry::GUARDS { "true" } else { "false" });
    session.run(WHAT, &sql).await.map(drop)
}

/// In the open transaction, after the migrations: sequences, and the word that the rest is on its way.
pub(in crate::migrations) async fn begin(session: &Session, target: i32) -> Result<(), Failure> {
    let sql = include_str!("begin.sql").replace("%TARGET%", &target.to_string());
    session.run(WHAT, &sql).await.map(drop)
}

/// After the migration is committed: everything in batches. What is in use is come back to once all else has
/// returned. `role` makes us the owner, if it takes one.
///
/// # Errors
/// Partial, interrupted: the migration stands, and the next one goes on.
pub async fn carry_out(
    cx: &Context,
    session: &Session,
    role: &str,
    all: &[Kept],
) -> Result<Vec<Returned>, Failure> {
    let progress = Cell::new(Instant::now());
    let run = Run { cx, session, role, progress, resume: RefCell::default() };
    let mut returned: Vec<Option<Returned>> = vec![None; all.len()];
    let mut said = None;
    let mut hard = None;
    loop {
        let mut obstacle = None;
        for (kept, slot) in all.iter().zip(&mut returned).filter(|(_, slot)| slot.is_none()) {
            match run.one(kept).await {
                Ok(one) => *slot = Some(one),
                Err(failure) if is_passing(&failure) => obstacle = Some((failure, kept)),
                Err(failure) if failure.kind == Failed::Interrupted || session.is_closed() => {
                    return Err(stopped(failure, kept));
                }
                // The other parts return all the same.
                Err(failure) => {
                    *slot = Some(Returned::none(kept));
                    hard.get_or_insert_with(|| stopped(failure, kept));
                }
            }
        }
        let Some((failure, kept)) = obstacle else { break };
        let over = run.progress.get().elapsed() >= cx.settings.max_wait;
        let fresh = Duration::from_secs(if cx.console.is_interactive() { 1 } else { 10 });
        let mut failure = failure;
        if over || said.is_none_or(|at: Instant| at.elapsed() >= fresh) {
            said = Some(Instant::now());
            failure = run.in_the_way(failure, kept).await;
        }
        if over {
            return Err(stopped(failure, kept));
        }
        // Whoever stays is not asked ten times a second.
        let pause = (run.progress.get().elapsed() / 10).clamp(PAUSE, PAUSE * 10);
        cx.interrupt.pause(pause).await.map_err(|failure| stopped(failure, kept))?;
    }
    match hard {
        Some(failure) => Err(failure),
        None => Ok(returned.into_iter().flatten().collect()),
    }
}

struct Run<'a> {
    cx: &'a Context,
    session: &'a Session,
    role: &'a str,
    /// When something last returned.
    progress: Cell<Instant>,
    /// Behind which id a table's next round begins: before it nothing was left for later.
    resume: RefCell<BTreeMap<String, i64>>,
}

/// What one batch did.
struct Batch {
    last: Option<i64>,
    seen: u64,
    returned: u64,
    skipped: u64,
    /// How long its rows were locked on the server, COMMIT left out.
    held: Duration,
}

impl Run<'_> {
    async fn one(&self, kept: &Kept) -> Result<Returned, Failure> {
        // The flags went before; and of what this binary does not know nothing is moved.
        let is_flag = kept.column.as_deref() == Some("is_master_admin");
        if let Some(part) = kept.part().filter(|_| !is_flag) {
            let statement = self.statement(kept, part).await?;
            self.batches(kept, &statement).await?;
        }
        self.finish(kept).await
    }

    /// Once to the highest id, from where the round before has left something.
    ///
    /// # Errors
    /// Busy, where something was in use that is to be come back to.
    async fn batches(&self, kept: &Kept, statement: &str) -> Result<(), Failure> {
        let from = self.resume.borrow().get(&kept.name).copied();
        let (mut after, mut size, mut tries) = (from.unwrap_or(i64::MIN), batch::FIRST, 0);
        let (mut skipped, mut total, mut said) = (0, 0, Instant::now());
        loop {
            if skipped == 0 {
                self.resume.borrow_mut().insert(kept.name.clone(), after);
            }
            let batch = match self.batch(kept, statement, after, size).await {
                Err(failure) if is_passing(&failure) && tries < TRIES => {
                    tries += 1;
                    size = (size / 2).max(1);
                    self.cx.interrupt.pause(PAUSE).await?;
                    continue;
                }
                batch => batch?,
            };
            (size, tries) = (next_size(size, batch.held), 0);
            skipped += batch.skipped;
            total += batch.returned;
            if batch.returned > 0 {
                self.progress.set(Instant::now());
            }
            if said.elapsed() >= Duration::from_secs(2) {
                said = Instant::now();
                self.cx.console.say(&format!("bringing back {}: {total} so far", kept.what()));
            }
            match batch.last {
                Some(last) if batch.seen > 0 => after = last,
                _ if skipped == 0 => return Ok(()),
                _ => {
                    let what = format!("rows of {} are locked: {skipped}", name(&kept.table, None));
                    return Err(Failure::new(Failed::Busy, what));
                }
            }
        }
    }

    /// Says who may be in the way, as far as that can be seen.
    async fn in_the_way(&self, failure: Failure, kept: &Kept) -> Failure {
        let tables = [kept.table.as_str(), "user"];
        let mut holders = locks::table_holders(self.session, &tables).await.unwrap_or_default();
        holders.extend(locks::run_holders(self.session).await.unwrap_or_default());
        self.cx.console.say(&format!("waiting: {failure}; the rest comes first"));
        let mut failure = failure;
        for holder in holders.iter().take(3) {
            self.cx.console.say(&format!("waiting: {holder}; to end it: {}", holder.remedy()));
            failure = failure.because(holder).hint(format!("to end it: {}", holder.remedy()));
        }
        failure
    }

    async fn batch(
        &self,
        kept: &Kept,
        statement: &str,
        after: i64,
        size: usize,
    ) -> Result<Batch, Failure> {
        let sql = statement
            .replace("%AFTER%", &format!("'{after}'::bigint"))
            .replace("%SIZE%", &size.to_string());
        // What is kept has no statistics: by its key, whatever the planner thinks of it.
        let sql = format!(
            "{}{};SET LOCAL jit = off;SET LOCAL enable_seqscan = off;{sql}",
            self.role,
            foreign::refuse(Scope::Returning)
        );
        let what = format!("cannot bring back {}", kept.what());
        let sets = self.session.once(Mode::Write, &what, &sql).await?;
        let row =
            sets.last().and_then(|rows| rows.first()).ok_or_else(|| Failure::unexpected(&what))?;
        let number = |name| row.get(name).and_then(|text| text.parse().ok()).unwrap_or_default();
        Ok(Batch {
            last: row.get("last").and_then(|id| id.parse().ok()),
            seen: number("seen"),
            returned: number("returned"),
            skipped: number("skipped"),
            held: Duration::from_millis(number("held")),
        })
    }

    /// The batch's SQL but for its place and size.
    ///
    /// # Errors
    /// Refused, where a column that is kept has no place any more.
    async fn statement(&self, kept: &Kept, part: &Part) -> Result<String, Failure> {
        let sql = match part.kind {
            Kind::Column { name, fits, value, .. } => include_str!("values.sql")
                .replace("%COLUMN%", &quoted(name))
                .replace("%FITS%", fits)
                .replace("%VALUE%", value),
            Kind::Table { fits, emptied } => {
                let columns = self.columns(kept).await?;
                let list =
                    columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ");
                let value = |column: &String| value(column, emptied);
                let values = columns.iter().map(value).collect::<Vec<_>>().join(", ");
                let emptied = emptied.iter().find(|name| columns.iter().any(|c| c == *name));
                if emptied.is_some() {
                    let sql = format!("{}{}", self.role, places(forgotten::MAKE, kept));
                    self.session.once(Mode::Write, WHAT, &sql).await?;
                }
                include_str!("rows.sql")
                    .replace("%COLUMNS%", &list)
                    .replace("%VALUES%", &values)
                    .replace("%ID%", &batch::id(&kept.table))
                    .replace("%FORGOTTEN%", &emptied.map(|c| forgotten::sql(c)).unwrap_or_default())
                    .replace("%FITS%", fits)
            }
        };
        Ok(places(&sql, kept))
    }

    /// The columns of what is kept, where the application's table has them all.
    async fn columns(&self, kept: &Kept) -> Result<Vec<String>, Failure> {
        let of = |schema: &str, table: &str| {
            format!(
                "SELECT a.attname, format_type(a.atttypid, a.atttypmod) AS type FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
                   JOIN pg_namespace n ON n.oid = c.relnamespace \
                  WHERE n.nspname = {} AND c.relname = {} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
                literal(schema),
                literal(table)
            )
        };
        let sql =
            format!("{};{}", of("markenmate_quarantine", &kept.name), of("public", &kept.table));
        let sets = self.session.once(Mode::Read, WHAT, &sql).await?;
        let columns = |set: &Rows| {
            let column = |row: &tokio_postgres::SimpleQueryRow| {
                Some((row.get(0)?.to_owned(), row.get(1)?.to_owned()))
            };
            set.iter().filter_map(column).collect::<Vec<(String, String)>>()
        };
        let [here, there] = sets.as_slice() else { return Err(Failure::unexpected(WHAT)) };
        let (here, there) = (columns(here), columns(there));
        let table = name(&kept.table, None);
        let missing =
            here.iter().filter(|(column, _)| there.iter().all(|(other, _)| other != column));
        let missing: Vec<_> = missing
            .map(|(column, kind)| {
                format!("ALTER TABLE {table} ADD COLUMN {} {kind};", quoted(column))
            })
            .collect();
        if missing.is_empty() {
            return Ok(here.into_iter().map(|(column, _)| column).collect());
        }
        let what = format!("{table} lacks columns that {} has", kept.name);
        Err(missing.iter().fold(Failure::refused(what), |failure, line| failure.hint(line)))
    }

    async fn finish(&self, kept: &Kept) -> Result<Returned, Failure> {
        let archives =
            kept.table == "audit_log" && finish::is_archived(kept, &self.columns(kept).await?);
        let result = finish::finish(self.cx, self.session, self.role, kept, archives).await;
        self.session.end().await;
        if result.is_ok() {
            self.progress.set(Instant::now());
        }
        result
    }
}
