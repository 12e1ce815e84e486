//! MarkenMate's database, migrated and administered without losing a row.

use std::ffi::OsString;

pub mod admin;
pub mod backup;
pub mod checks;
pub mod cleanup;
pub mod cli;
pub mod commands;
pub mod console;
pub mod context;
pub mod db;
pub mod failure;
pub mod migrations;
pub mod pipeline;
pub mod plan;
pub mod render;
pub mod report;
pub mod sandbox;
pub mod settings;
pub mod stats;
pub mod tools;

use cli::Command;
use commands::admin::What;
use commands::{
    admin as admins, backup as backups, cleanup as cleanups, demo, migrate, rehearse, rollback,
    set_master_admin, stats as statistics, status, util, verify,
};
use console::Console;
use context::Context;
use failure::{Ending, Failure};
use settings::{Env, LogFormat};

/// Runs one command line to its end and returns the exit code.
pub fn run(arguments: Vec<OsString>, env: Env) -> u8 {
    let cli = match cli::parse(&arguments) {
        Ok(cli) => cli,
        Err(early) => return early.show(),
    };
    let console = Console::terminal(cli.global.quiet());
    let name = cli.command.name();
    let result = Context::new(cli.global.flags(), env, console).map_err(Box::new);
    let cx = match result {
        Ok(cx) => cx,
        Err(failure) => return cli::Early::from_failure(&cli, *failure).show(),
    };
    console::log::start(cx.settings.verbose, cx.settings.log_format == LogFormat::Json);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ending = match runtime {
        Ok(runtime) => {
            let ending = runtime.block_on(dispatch(&cx, cli.command));
            // A prompt that a signal ended still holds its thread.
            runtime.shutdown_background();
            ending
        }
        Err(e) => fail(Failure::unexpected("cannot start").because(e)),
    };
    render::show(&cx, name, &ending)
}

/// One command, one line.
async fn dispatch(cx: &Context, command: Command) -> Ending {
    if let Err(failure) = cx.interrupt.listen() {
        return fail(failure);
    }
    match command {
        Command::Migrate(args) => pipeline::drive(cx, &migrate::Migrate::new(args)).await,
        Command::SetMasterAdmin(args) => {
            pipeline::drive(cx, &set_master_admin::SetMasterAdmin::new(args)).await
        }
        Command::Admin(args) => match args.what {
            What::List => pipeline::drive(cx, &admins::List::default()).await,
            What::Promote(args) => pipeline::drive(cx, &admins::Change::promote(args)).await,
            What::Demote(args) => pipeline::drive(cx, &admins::Change::demote(args)).await,
            What::RevokeSessions(args) => {
                pipeline::drive(cx, &admins::Change::revoke_sessions(args)).await
            }
        },
        Command::Rollback(args) => rollback::run(cx, args).await,
        Command::Rehearse(args) => pipeline::drive(cx, &rehearse::Rehearse::new(args)).await,
        Command::Status(args) => pipeline::drive(cx, &status::Status::new(args)).await,
        Command::Verify(args) => pipeline::drive(cx, &verify::Verify::new(args)).await,
        Command::Backup(args) => match &args.kept {
            None => pipeline::drive(cx, &backups::Backup::new(args)).await,
            Some(backups::Kept::Verify { path, restore_test, identity }) => {
                alone(backups::verify(cx, path, identity.as_deref(), *restore_test).await)
            }
            Some(backups::Kept::Prune { dir, keep }) => {
                alone(backups::prune(cx, dir.as_deref(), usize::from(*keep)).await)
            }
            Some(backups::Kept::List { dir }) => alone(backups::list(cx, dir.as_deref())),
        },
        Command::Stats(args) => statistics::run(cx, args).await,
        Command::Cleanup(args) => cleanups::run(cx, args).await,
        Command::Demo(args) => alone(demo::run(cx, args).await),
        Command::Util(args) => alone(util::run(cx, args)),
    }
}

fn alone(result: Result<report::Report, Failure>) -> Ending {
    Ending { target: None, result }
}

fn fail(failure: Failure) -> Ending {
    alone(Err(failure))
}
