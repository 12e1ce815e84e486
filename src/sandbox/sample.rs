//! Sample data for a database of the app: a few thousand rows, the nasty kinds included.

/// Users with quotes, control characters, reversed text, line breaks or nothing as their name.
pub const HOSTILE_USERS: u32 = 18;

/// Admins; the oldest is the app's seed account `admin@markenmate.app`, whose password
/// (`Admin2024!`) stands in the app's source. The second's is `Größe-Übung-7`.
pub const ADMINS: u32 = 3;

/// Orphan rows: where they are, and how many.
pub const ORPHANS: [(&str, u32); 5] = [
    ("token_lending.user_id", 3),
    ("token_lending.lend_to_user_id", 2),
    ("session.user_id", 2),
    ("app_log.user_id", 4),
    ("order_history_item.order_history_id", 1),
];

/// What the sample holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Ordinary users, besides the admins and the hostile ones. 200 come with about 7,000 rows.
    pub users: u32,
    /// Whether there are rows whose owner is gone. Takes a superuser.
    pub orphans: bool,
}

impl Default for Sample {
    fn default() -> Self {
        Self { users: 200, orphans: false }
    }
}

impl Sample {
    /// SQL that fills an empty database in the app's schema, baseline or later, in one transaction.
    /// The same rows every time, except that times are told back from now.
    pub fn sql(self) -> String {
        let orphans = if self.orphans { include_str!("sample_orphans.sql") } else { "" };
        format!(
            "BEGIN;\nSET LOCAL markenmate.sample_users = '{}';\n{}\n{orphans}\nCOMMIT;\n",
            self.users,
            include_str!("sample.sql"),
        )
    }
}

/// The sample for so many ordinary users, without orphans.
pub fn sql(users: u32) -> String {
    Sample { users, ..Sample::default() }.sql()
}
