//! What there is to clean up: tables, their archives, how many rows have had their time.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::batch::{Rowwise, Statement};
use super::columns::{self, Column, Fit};
use super::jobs::{GUIDE_ARCHIVE, Job};
use super::twins::Twins;
use crate::db::foreign::{self, Scope};
use crate::db::identifiers::{identifier, literal};
use crate::db::session::{Mode, Rows, Session};
use crate::failure::Failure;

const WHAT: &str = "cannot look at what is to be cleaned up";
const AUDIT: &str = "audit_log";

/// Clocks that are further apart are not relied on: by one of them the rows' time may not be over.
const CLOCKS_APART: Duration = Duration::from_secs(300);

/// The tables, and what time it is on the server.
#[derive(Debug, Clone, Default)]
pub struct Ground {
    tables: Vec<Table>,
    /// The server's clock.
    pub now: DateTime<Utc>,
}

/// A table or an archive.
#[derive(Debug, Clone, Default)]
pub struct Table {
    schema: String,
    name: String,
    pub(super) kind: String,
    /// Blocks of the table itself.
    pub blocks: u64,
    /// Rows, as far as the server knows.
    pub rows: u64,
    /// With indexes and long texts.
    pub bytes: u64,
    pub(super) is_ours: bool,
    is_readable: bool,
    pub(super) owner: String,
    pub(super) columns: Vec<Column>,
}

/// A job that can be done.
#[derive(Debug, Clone)]
pub struct Due {
    /// Which.
    pub job: &'static Job,
    /// Rows before this have had their time; SQL, one literal.
    pub cut_off: DateTime<Utc>,
    /// Whether a row `t` leaves: SQL.
    pub condition: String,
    /// How rows fit into the archive.
    pub fit: Fit,
    /// Of the guide's archive: which of its rows stand elsewhere.
    pub twins: Option<Twins>,
    /// Rows a block, for the pace.
    pub table: Table,
    /// Rows that have had their time.
    pub matched: u64,
    /// Rows that have had their time as well, and wait until the guide's archive, which has them too, is taken over.
    pub waiting: u64,
    /// The oldest of them, as the server prints it.
    pub oldest: Option<String>,
}

impl Ground {
    /// Looks. Changes nothing.
    ///
    /// # Errors
    /// The server's; refused (4) where the server's clock and ours are more than five minutes apart.
    pub async fn look(session: &Session, role: &str) -> Result<Self, Failure> {
        // What is ours is asked as whom it is done as.
        let sql = format!("{role}{}", include_str!("ground.sql"));
        let sets = session.once(Mode::Read, WHAT, &sql).await?;
        let [.., tables, now] = sets.as_slice() else { return Err(Failure::unexpected(WHAT)) };
        let now = now.first().and_then(|row| row.get(0)).and_then(|text| text.parse().ok());
        let now: DateTime<Utc> = now.ok_or_else(|| Failure::unexpected(WHAT))?;
        if let Some(failure) = apart(now, Utc::now()) {
            return Err(failure);
        }
        Ok(Self { tables: tables_from(tables), now })
    }

    /// Refuses what each transaction of a run would refuse, without its locks.
    ///
    /// # Errors
    /// Refused (4): code of others would run.
    pub async fn foresee(session: &Session, role: &str) -> Result<(), Failure> {
        // As the owner nobody need be trusted.
        if role.is_empty() {
            return Ok(());
        }
        let code = foreign::refuse_unlocked(Scope::Cleanup);
        let sql = format!("{role}{};{code}", foreign::plain());
        session.once(Mode::Read, WHAT, &sql).await.map(drop)
    }

    /// The table of that name.
    pub fn table(&self, schema: &str, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.schema == schema && table.name == name)
    }

    /// Whether somebody archived by following the guide.
    pub fn has_guide_archive(&self) -> bool {
        self.table("public", GUIDE_ARCHIVE.table)
            .is_some_and(|table| ["r", "p"].contains(&table.kind.as_str()))
    }

    /// Beside an archive that stays, rows are compared with it.
    ///
    /// # Errors
    /// Refused (4) where it may not be read.
    pub fn read_guide_archive(&self) -> Result<(), Failure> {
        let (Some(guide), Some(log)) =
            (self.table("public", GUIDE_ARCHIVE.table), self.table("public", AUDIT))
        else {
            return Ok(());
        };
        if guide.is_readable {
            return Ok(());
        }
        Err(Failure::refused(format!(
            "public.{} belongs to {}, and {} may not read it",
            guide.name, guide.owner, log.owner
        ))
        .because("it was made by following the guide, and rows that it has would be kept twice")
        .hint(format!(
            "as {}, or as a superuser: ALTER TABLE public.{} OWNER TO {};",
            guide.owner,
            guide.name,
            identifier(&log.owner)
        )))
    }

    /// How rows of the table fit into the job's archive.
    fn fit(&self, table: &Table, job: &Job) -> Result<Fit, Failure> {
        let Some(archive) = job.archive else { return Ok(Fit::default()) };
        let archive = self.table("markenmate", archive).ok_or_else(|| missing(archive))?;
        columns::fit(&table.columns, &archive.columns).map_err(|(why, remedy)| {
            Failure::refused(format!(
                "rows of {}.{} do not fit into markenmate.{}",
                table.schema, table.name, archive.name
            ))
            .because(why)
            .hint(remedy)
        })
    }

    /// The job as it can be done, with rows before `cut_off` counted.
    ///
    /// # Errors
    /// Refused (4) where a table is missing, is not what it should be, or does not fit its archive.
    pub async fn due(
        &self,
        session: &Session,
        role: &str,
        job: &'static Job,
        cut_off: DateTime<Utc>,
        spared: Option<&str>,
    ) -> Result<Due, Failure> {
        let name = format!("public.{}", job.table);
        let table = self.table("public", job.table).ok_or_else(|| missing(&name))?;
        table.check(job)?;
        let fit = self.fit(table, job)?;
        let twins = match job == &GUIDE_ARCHIVE {
            true => {
                let live =
                    self.table("public", AUDIT).ok_or_else(|| missing("public.audit_log"))?;
                let fits = self.fit(live, job)?;
                Some(Twins::new(fits, &live.columns, &fit))
            }
            false => None,
        };
        let oldest = job.by.map_or_else(|| "NULL".to_owned(), |by| format!("min(t.{by})"));
        let condition = condition(job, cut_off, spared);
        let sql = format!(
            "{role}SET LOCAL jit = off;SELECT count(*) AS matched, to_char({oldest}::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') AS oldest \
               FROM ONLY {name} t WHERE {}",
            condition
        );
        let sets = session.once(Mode::Read, WHAT, &sql).await?;
        let row = sets.last().and_then(|rows| rows.first());
        let row = row.ok_or_else(|| Failure::unexpected(WHAT))?;
        Ok(Due {
            job,
            cut_off,
            condition,
            fit,
            twins,
            table: table.clone(),
            matched: row.get("matched").and_then(|n| n.parse().ok()).unwrap_or_default(),
            waiting: 0,
            oldest: row.get("oldest").map(str::to_owned),
        })
    }
}

impl Due {
    /// The statement of a batch, for plans: of the first blocks, as PostgreSQL 14 takes it. What is taken over is so
    /// in one statement.
    pub fn sql(&self) -> String {
        if let Some(twins) = &self.twins {
            return twins.sql(self, 0);
        }
        let statement = Statement::new(self, 0, 140_000);
        let most = u32::try_from(self.table.blocks).unwrap_or(u32::MAX).clamp(1, 100);
        statement.sql(0, most, Rowwise::Waiting)
    }
}

impl Table {
    fn check(&self, job: &Job) -> Result<(), Failure> {
        let name = format!("{}.{}", self.schema, self.name);
        if self.kind != "r" {
            return Err(Failure::refused(format!("{name} is no plain table"))
                .because("a view, or one that is partitioned, is not what the application makes")
                .hint("markenmate verify says what else differs"));
        }
        if !self.is_ours {
            return Err(Failure::refused(format!("{name} belongs to {}", self.owner))
                .hint(format!("connect as {}, or as a member of that role", self.owner)));
        }
        match job.by.filter(|by| self.columns.iter().all(|column| column.name != **by)) {
            None => Ok(()),
            Some(by) => Err(Failure::refused(format!("{name} has no column {by}"))
                .hint("markenmate verify says what else is missing")),
        }
    }
}

/// Where the server's clock and ours are too far apart.
fn apart(now: DateTime<Utc>, ours: DateTime<Utc>) -> Option<Failure> {
    let apart = (ours - now).abs().to_std().unwrap_or_default();
    (apart > CLOCKS_APART).then(|| {
        let apart = humantime::format_duration(Duration::from_secs(apart.as_secs()));
        Failure::refused(format!(
            "the server's clock and this machine's are {apart} apart: one of them is wrong"
        ))
        .because(format!("the server says {now}; rows would leave before, or after, their time"))
        .hint("set the clock that is wrong (timedatectl shows it), then run it again")
    })
}

fn missing(name: &str) -> Failure {
    Failure::refused(format!("there is no table {name}"))
        .hint("markenmate status says where the database stands; markenmate migrate brings it")
}

/// The condition on a row `t`.
fn condition(job: &Job, cut_off: DateTime<Utc>, spared: Option<&str>) -> String {
    let predicate = predicate(job, cut_off);
    spared.map_or(predicate.clone(), |spared| format!("{predicate} AND {spared}"))
}

fn predicate(job: &Job, cut_off: DateTime<Utc>) -> String {
    let text = cut_off.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    job.predicate.trim().replace("%CUT_OFF%", &format!("{}::timestamptz", literal(&text)))
}

fn tables_from(rows: &Rows) -> Vec<Table> {
    let table = |row: &tokio_postgres::SimpleQueryRow| {
        let text = |name| row.get(name).unwrap_or_default().to_owned();
        let number = |name| row.get(name).and_then(|n| n.parse().ok()).unwrap_or_default();
        Table {
            schema: text("schema"),
            name: text("name"),
            kind: text("kind"),
            blocks: number("blocks"),
            rows: number("rows"),
            bytes: number("bytes"),
            is_ours: row.get("is_ours") == Some("t"),
            is_readable: row.get("is_readable") == Some("t"),
            owner: text("owner"),
            columns: serde_json::from_str(row.get("columns").unwrap_or("[]")).unwrap_or_default(),
        }
    };
    rows.iter().map(table).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_differ_are_not_relied_on() {
        let now = Utc::now();
        assert!(apart(now, now + CLOCKS_APART).is_none());
        let said = apart(now, now - CLOCKS_APART * 2).map(|failure| failure.to_string());
        assert!(said.is_some_and(|said| said.contains("10m apart")));
        assert!(apart(now, now + CLOCKS_APART * 12).is_some());
    }
}
