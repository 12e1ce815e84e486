//! The changes themselves, judged anew under the locks.

use tokio_postgres::types::{ToSql, Type};

use crate::failure::Failure;

use super::change::{Authority, Change, Done, WHAT, Work};
use super::guards::{self, RoleChange, Verdict};
use super::master::{self, Decision, Wish};
use super::people::{self, Depth, Person};
use super::record::{self, action};
use super::standing::Standing;

impl Work<'_> {
    /// Does what was asked for, with its audit row.
    pub(super) async fn change(
        &self,
        standing: &Standing,
        actor: Option<&Person>,
    ) -> Result<Done, Failure> {
        match &self.request.change {
            Change::Promote => self.change_role(standing, "user", "admin", actor).await,
            Change::Demote => self.change_role(standing, "admin", "user", actor).await,
            Change::RevokeSessions => self.revoke(standing, actor).await,
            Change::SetMaster { wish, masters } => {
                self.set_master(wish, masters, standing, actor).await
            }
        }
    }

    async fn change_role(
        &self,
        standing: &Standing,
        old: &str,
        new: &str,
        actor: Option<&Person>,
    ) -> Result<Done, Failure> {
        let (cx, session) = (self.cx, self.session);
        let target = self.target(standing).await?;
        if target.role == new {
            return Ok(done(target, actor, true));
        }
        guards::known_role(&target)?;
        let admins = people::count_admins(session).await?;
        let change = RoleChange { target: &target, demotes: new != "admin", actor, admins };
        if let Verdict::Denied(reason) = guards::role_change(change) {
            return Err(reason.into());
        }
        let sql = format!(
            "UPDATE public.\"user\" SET role = '{new}', updated_at = now() \
              WHERE id = $1 AND role = '{old}' RETURNING id::text"
        );
        self.note_broken().await?;
        self.exactly_one(&sql).await?;
        if self.target(standing).await?.role != new {
            return Err(not_kept("the role is what it was"));
        }
        let metadata = record::json(&record::RoleChanged { old_role: old, new_role: new })?;
        record::audit(cx, session, self.entry(action::CHANGE_ROLE, actor, &metadata)).await?;
        Ok(done(target, actor, false))
    }

    async fn revoke(&self, standing: &Standing, actor: Option<&Person>) -> Result<Done, Failure> {
        let target = self.target(standing).await?;
        let sql = "DELETE FROM public.session WHERE user_id = $1 RETURNING expires_at <= now() AS expired";
        let rows = self.session.query(WHAT, sql, &[(&target.id, Type::TEXT)]).await?;
        if rows.is_empty() {
            return Ok(done(target, actor, true));
        }
        self.note_broken().await?;
        let metadata = record::json(&record::Revoked { count: rows.len() })?;
        let entry = self.entry(action::REVOKE, actor, &metadata);
        record::audit(self.cx, self.session, entry).await?;
        let expired = rows.iter().filter(|row| row.try_get("expired").unwrap_or(false)).count();
        Ok(Done { revoked: rows.len(), expired, ..done(target, actor, false) })
    }

    async fn set_master(
        &self,
        wish: &Wish,
        masters: &[String],
        standing: &Standing,
        actor: Option<&Person>,
    ) -> Result<Done, Failure> {
        let session = self.session;
        // Who was meant is known by now; that it is still the one is looked at.
        let seen = master::Seen::read(session, standing, wish).await?;
        let (target, previous) = match master::decide(&seen, wish)? {
            Decision::Already(master) => return Ok(done(master, actor, true)),
            Decision::Set { target, previous, .. } => (target, previous),
        };
        if target.id != self.request.target.id {
            return Err(changed(&format!("it would be {target} now")));
        }
        if master::ids(&seen.masters) != masters {
            return Err(changed("the master admin is another than was shown"));
        }
        // The password was judged before, which takes longer than anybody should wait for a lock.
        let shown = &self.request.target;
        if people::hashes(session, &shown.accounts).await? != shown.credentials {
            return Err(changed(&format!("{target} has another password")));
        }
        let target = Person { credentials: shown.credentials.clone(), ..target };
        master::check(&target, wish, false)?;
        self.may_hand_on(&previous, &seen.masters, actor)?;
        self.note_broken().await?;
        self.move_flag(wish, standing, &target).await?;
        if master::ids(&people::masters(session, standing).await?) != [target.id.clone()] {
            return Err(not_kept("the master admin is not who was to be it"));
        }
        let old = previous.first().map(|master| master.id.as_str());
        let metadata =
            record::json(&record::MasterSet { old_master_id: old, new_master_id: &target.id })?;
        let entry = self.entry(action::SET_MASTER, actor, &metadata);
        record::audit(self.cx, session, entry).await?;
        Ok(Done { previous, ..done(target, actor, false) })
    }

    /// Whoever has the flag hands it on, unless the glass is broken.
    fn may_hand_on(
        &self,
        previous: &[Person],
        masters: &[Person],
        actor: Option<&Person>,
    ) -> Result<(), Failure> {
        if previous.is_empty() || matches!(self.request.authority, Authority::BreakGlass { .. }) {
            return Ok(());
        }
        match actor {
            Some(actor) => master::handing_on(previous, masters, Some(actor)).map(drop),
            None => Err(Failure::refused("somebody else became master admin meanwhile")
                .because(previous.first().map(ToString::to_string).unwrap_or_default())
                .hint("to hand it on: markenmate set-master-admin USER --transfer")),
        }
    }

    async fn move_flag(
        &self,
        wish: &Wish,
        standing: &Standing,
        target: &Person,
    ) -> Result<(), Failure> {
        if standing.has_function {
            let sql = "SELECT markenmate.set_master_admin($1, $2)::text";
            let parameters: [(&(dyn ToSql + Sync), Type); 2] =
                [(&target.id, Type::TEXT), (&wish.transfer, Type::BOOL)];
            return self.session.query(WHAT, sql, &parameters).await.map(drop);
        }
        let sql = "UPDATE public.\"user\" SET is_master_admin = false, updated_at = now() \
                    WHERE is_master_admin AND id <> $1";
        self.session.query(WHAT, sql, &[(&target.id, Type::TEXT)]).await?;
        let sql = "UPDATE public.\"user\" SET is_master_admin = true, updated_at = now() \
                    WHERE id = $1 AND role = 'admin' RETURNING id::text";
        self.exactly_one(sql).await
    }

    async fn target(&self, standing: &Standing) -> Result<Person, Failure> {
        let id = &self.request.target.id;
        people::by_id(self.session, standing, Depth::Bare, id).await?.ok_or_else(gone)
    }

    /// A change of the target's row that must find it.
    async fn exactly_one(&self, sql: &str) -> Result<(), Failure> {
        let rows = self.session.query(WHAT, sql, &[(&self.request.target.id, Type::TEXT)]).await?;
        if rows.len() == 1 { Ok(()) } else { Err(gone()) }
    }
}

fn gone() -> Failure {
    Failure::refused("the user is gone or changed meanwhile; nothing was changed")
        .hint("run the same command again")
}

fn changed(why: &str) -> Failure {
    Failure::refused("the users changed meanwhile; nothing was changed")
        .because(why)
        .hint("look again: run the same command once more")
}

/// Code of somebody else's in the database does not let it be.
fn not_kept(what: &str) -> Failure {
    Failure::unexpected("the database did not keep the change; nothing was changed")
        .because(what)
        .hint("markenmate verify names what is different: a trigger, a rule, a guard's function")
}

fn done(target: Person, actor: Option<&Person>, nothing: bool) -> Done {
    Done {
        target,
        actor: actor.cloned(),
        nothing,
        revoked: 0,
        expired: 0,
        previous: Vec::new(),
        ledger: None,
        recovered: false,
    }
}
