//! `admin`: the admins of the app, listed and changed under the app's own rules.

pub mod authority;
mod change;
mod list;
pub mod shown;

pub use change::Change;
pub use list::List;

/// Flags of `admin`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is done.
    #[command(subcommand)]
    pub what: What,
}

/// What is done.
#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// List the admins; reads only
    List,
    /// Make a user an admin
    Promote(ChangeArgs),
    /// Make an admin an ordinary user
    Demote(ChangeArgs),
    /// End all sessions of a user
    RevokeSessions(ChangeArgs),
}

/// Flags of what changes a user.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("who").required(true).args(["acting", "break_glass"]))]
pub struct ChangeArgs {
    /// Whom: an email in any case, or an id
    #[arg(value_parser = authority::user)]
    pub user: String,
    /// Who acts.
    #[command(flatten)]
    pub authority: authority::Args,
}
