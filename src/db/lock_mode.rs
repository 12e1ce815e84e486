//! The modes in which tables are locked, and which of them keep each other out.

/// A mode of a table's lock; weakest first, as in table 13.2 of the manual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockMode {
    /// SELECT
    AccessShare,
    /// SELECT FOR UPDATE
    RowShare,
    /// INSERT, UPDATE, DELETE
    RowExclusive,
    /// VACUUM, ANALYZE, CREATE INDEX CONCURRENTLY
    ShareUpdateExclusive,
    /// CREATE INDEX
    Share,
    /// CREATE TRIGGER, a foreign key
    ShareRowExclusive,
    /// REFRESH MATERIALIZED VIEW CONCURRENTLY
    Exclusive,
    /// ALTER TABLE mostly, DROP TABLE, TRUNCATE
    AccessExclusive,
}

use LockMode::{
    AccessExclusive, AccessShare, Exclusive, RowExclusive, RowShare, Share, ShareRowExclusive,
    ShareUpdateExclusive,
};

impl LockMode {
    /// Weakest first.
    pub const ALL: [Self; 8] = [
        AccessShare,
        RowShare,
        RowExclusive,
        ShareUpdateExclusive,
        Share,
        ShareRowExclusive,
        Exclusive,
        AccessExclusive,
    ];

    /// As SQL has it (`ACCESS SHARE`), or `pg_locks` (`AccessShareLock`).
    pub fn named(name: &str) -> Option<Self> {
        let plain = name.strip_suffix("Lock").unwrap_or(name).replace(' ', "");
        Self::ALL.into_iter().find(|mode| mode.sql().replace(' ', "").eq_ignore_ascii_case(&plain))
    }

    /// As in `LOCK TABLE … IN … MODE`.
    pub fn sql(self) -> &'static str {
        match self {
            AccessShare => "ACCESS SHARE",
            RowShare => "ROW SHARE",
            RowExclusive => "ROW EXCLUSIVE",
            ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Share => "SHARE",
            ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            Exclusive => "EXCLUSIVE",
            AccessExclusive => "ACCESS EXCLUSIVE",
        }
    }

    /// Whoever wants one has to wait for a holder of the other.
    pub fn conflicts(self, other: Self) -> bool {
        self.kept_out().contains(&other)
    }

    /// Whoever holds this one has all that the other would give.
    pub fn covers(self, other: Self) -> bool {
        other.kept_out().iter().all(|mode| self.conflicts(*mode))
    }

    fn kept_out(self) -> &'static [Self] {
        match self {
            AccessShare => &[AccessExclusive],
            RowShare => &[Exclusive, AccessExclusive],
            RowExclusive => &[Share, ShareRowExclusive, Exclusive, AccessExclusive],
            ShareUpdateExclusive => {
                &[ShareUpdateExclusive, Share, ShareRowExclusive, Exclusive, AccessExclusive]
            }
            Share => {
                &[RowExclusive, ShareUpdateExclusive, ShareRowExclusive, Exclusive, AccessExclusive]
            }
            ShareRowExclusive => &[
                RowExclusive,
                ShareUpdateExclusive,
                Share,
                ShareRowExclusive,
                Exclusive,
                AccessExclusive,
            ],
            Exclusive => &[
                RowShare,
                RowExclusive,
                ShareUpdateExclusive,
                Share,
                ShareRowExclusive,
                Exclusive,
                AccessExclusive,
            ],
            AccessExclusive => &Self::ALL,
        }
    }
}

impl std::fmt::Display for LockMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.sql())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_goes_by_both_its_names() {
        for mode in LockMode::ALL {
            assert_eq!(LockMode::named(mode.sql()), Some(mode));
            assert_eq!(LockMode::named(&format!("{mode:?}Lock")), Some(mode));
            assert_eq!(LockMode::named(&format!("{mode:?}")), Some(mode));
        }
        assert_eq!(LockMode::named("SIReadLock"), None);
    }

    #[test]
    fn who_keeps_out_is_kept_out() {
        for one in LockMode::ALL {
            for other in LockMode::ALL {
                assert_eq!(one.conflicts(other), other.conflicts(one), "{one}, {other}");
            }
            assert!(one.covers(one) && AccessExclusive.covers(one) && one.covers(AccessShare));
        }
        // Neither of these two has what the other gives.
        assert!(!Share.covers(ShareUpdateExclusive) && !ShareUpdateExclusive.covers(Share));
    }
}
