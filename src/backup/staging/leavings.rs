//! What earlier restores have left: one that is whole and waits for its name, and halves of others.

use crate::db::locks;
use crate::db::session::Mode;
use crate::failure::Failure;

use super::{Maintenance, Staged, WHOLE, named, suffix};
use crate::backup::carried;

/// A database of the server.
struct Row {
    name: String,
    oid: u32,
    owner: String,
    comment: String,
    /// Closed, and by us: nobody has written to it since it was compared.
    is_closed: bool,
    /// Not half dropped.
    is_valid: bool,
}

const ALL: &str = "SELECT datname, oid::text AS oid, pg_get_userbyid(datdba) AS owner, \
                          shobj_description(oid, 'pg_database') AS comment, \
                          NOT datallowconn AS closed, datconnlimit <> -2 AS valid \
                     FROM pg_database ORDER BY pg_database.oid DESC";

impl Maintenance {
    /// The database that an earlier run has restored from the very same backup, where there is one, it is
    /// the live one's owner's, and has the live one's grants and settings of now. All other leavings of
    /// this database's restores are dropped; says their names.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn leavings(
        &self,
        fingerprint: &str,
    ) -> Result<(Option<Staged>, Vec<String>), Failure> {
        let rows = self.databases().await?;
        let (mut whole, mut dropped) = (None, Vec::new());
        for row in &rows {
            // After a swap the live database is another one: what is left is older than that.
            let Some(of) = restored_beside(&row.name, &self.live.name) else { continue };
            // A name is anybody's to give; what is not ours is left to whoever made it.
            if ![&self.live.owner, &self.live.user].contains(&&row.owner) {
                continue;
            }
            let staged = Staged { name: row.name.clone(), oid: row.oid };
            let marked = row.comment.starts_with(WHOLE);
            let is_whole = of == self.live.oid
                && (row.is_closed && row.is_valid)
                && marked_with(&row.comment).is_some_and(|(of, _)| of == fingerprint);
            if is_whole && whole.is_none() && self.is_alike(&staged).await? {
                whole = Some(staged);
            } else if of == self.live.oid || !marked && self.is_over(of, &rows).await? {
                self.still_alone().await?;
                self.drop(&row.name).await?;
                dropped.push(row.name.clone());
            }
        }
        Ok((whole, dropped))
    }

    /// Drops what killed runs have left half-done, or meant to drop; says their names. One that is whole and
    /// waits for its name is left.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn halves(&self) -> Result<Vec<String>, Failure> {
        let mut dropped = Vec::new();
        for row in self.databases().await? {
            let ours = restored_beside(&row.name, &self.live.name) == Some(self.live.oid)
                && [&self.live.owner, &self.live.user].contains(&&row.owner);
            if ours && !row.comment.starts_with(WHOLE) {
                self.still_alone().await?;
                self.drop(&row.name).await?;
                dropped.push(row.name);
            }
        }
        Ok(dropped)
    }

    async fn databases(&self) -> Result<Vec<Row>, Failure> {
        const WHAT: &str = "cannot look for what earlier restores have left";
        let sets = self.worker.once(Mode::Read, WHAT, ALL).await?;
        let rows = sets.iter().flatten().map(|row| {
            let text = |name| row.get(name).unwrap_or_default().to_owned();
            Row {
                name: text("datname"),
                oid: text("oid").parse().unwrap_or_default(),
                owner: text("owner"),
                comment: text("comment"),
                is_closed: row.get("closed") == Some("t"),
                is_valid: row.get("valid") == Some("t"),
            }
        });
        Ok(rows.collect())
    }

    /// It belongs to whom the live one belongs to, and has its grants and settings as they are now: one
    /// that others have made has not, nor has one from before they were changed.
    async fn is_alike(&self, staged: &Staged) -> Result<bool, Failure> {
        const WHAT: &str = "cannot compare the restored database with the live one";
        let sql = format!(
            "SELECT count(DISTINCT datdba)::text, count(*)::text FROM pg_database WHERE oid IN ({}, {})",
            self.live.oid, staged.oid
        );
        let sets = self.worker.once(Mode::Read, WHAT, &sql).await?;
        let row = sets.last().and_then(|rows| rows.first());
        let of = async |oid| {
            carried::statements(&self.worker, oid, &self.live.owner, &self.live.name).await
        };
        Ok(row.is_some_and(|row| (row.get(0), row.get(1)) == (Some("1"), Some("2")))
            && of(self.live.oid).await? == of(staged.oid).await?)
    }

    /// The same, right before the swap.
    ///
    /// # Errors
    /// Refused where it is not so any more.
    pub async fn still_alike(&self, staged: &Staged) -> Result<(), Failure> {
        match self.is_alike(staged).await? {
            true => Ok(()),
            false => Err(Failure::refused(format!(
                "owner, grants or settings of {} were changed during the restore: it is as it was",
                self.live.name
            ))
            .hint("run the same command again: it restores anew")),
        }
    }

    /// The database of this oid was set aside by a restore of this one, or is gone; and nobody restores
    /// it any more. Long names are cut: the live database of another name may have leavings like ours.
    async fn is_over(&self, oid: u32, rows: &[Row]) -> Result<bool, Failure> {
        let aside = named(&self.live.name, "_before_restore_");
        let other = rows.iter().find(|row| row.oid == oid);
        if other.is_some_and(|row| !row.name.starts_with(&aside)) {
            return Ok(false);
        }
        let sql = locks::try_restore_lock_sql(oid);
        let sets = self.guard.run("cannot take the lock between restores", &sql).await?;
        Ok(sets.last().and_then(|rows| rows.first()).and_then(|row| row.get(0)) == Some("t"))
    }
}

/// The fingerprint and the path of the backup that a database was restored from, as its comment has them.
pub(super) fn marked_with(comment: &str) -> Option<(&str, &str)> {
    let rest = comment.strip_prefix(WHOLE)?;
    Some(rest.split_once(' ').unwrap_or((rest, "")))
}

/// The oid of the database that this one was to replace, where it is the leaving of a restore of the
/// live one.
pub(super) fn restored_beside(name: &str, live: &str) -> Option<u32> {
    let (rest, run) = name.rsplit_once('_')?;
    let oid = rest.rsplit_once("_restoring_")?.1.parse().ok()?;
    let is_run = run.len() == 8 && run.chars().all(|c| c.is_ascii_hexdigit());
    (is_run && named(live, &suffix(oid, run)) == name).then_some(oid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leavings_are_known_by_their_names() {
        let of = |name: &str| restored_beside(name, "markenmate");
        assert_eq!(of("markenmate_restoring_16384_0a1b2c3d"), Some(16384));
        for other in [
            "markenmate_restoring_16384_0a1b2c3",
            "markenmate_restoring_x_0a1b2c3d",
            "other_restoring_16384_0a1b2c3d",
            "markenmate_before_restore_20261125093000",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
