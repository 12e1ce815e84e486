//! `demo`: the main job, step by step, on a throwaway PostgreSQL with sample data. It runs the
//! real binary and never looks at `DATABASE_URL` or anything else that names a database.

use serde_json::{Value, json};

use crate::context::Context;
use crate::failure::Failure;
use crate::migrations::registry;
use crate::report::{Block, Outcome, Report, StepResult, StepStatus};
use crate::sandbox::{Sandbox, SandboxOptions, sample};
use crate::settings::Format;
use crate::tools::itself;

/// Flags of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Leave the server running and print its URL, until Ctrl-C
    #[arg(long)]
    pub keep: bool,
}

const DATABASE: &str = "markenmate";

/// A scene: what is said, the command, and the exit codes it may end with.
struct Scene {
    says: &'static str,
    args: &'static [&'static str],
    ends: u8,
}

const BEFORE: &[Scene] = &[
    Scene {
        says: "The application's database before the guide's migration. Where does it stand?",
        args: &["status"],
        ends: 0,
    },
    Scene { says: "What would CI be told?", args: &["migrate", "--check"], ends: 3 },
    Scene {
        says: "Migrate: one transaction, under a lock between runs, queueing 50 ms at a time.",
        args: &["migrate", "--yes", "--reason", "demo"],
        ends: 0,
    },
    Scene { says: "Once more: there is nothing left to do.", args: &["migrate", "--yes"], ends: 0 },
    Scene {
        says: "Verify: schema, history, data. No admin is the master admin yet, and the first has the password of \
               the application's source: exit 3, with the remedies.",
        args: &["verify"],
        ends: 3,
    },
    Scene {
        says: "The guide's step 3: the first admin becomes master admin. Not with a password that everybody can read:",
        args: &["set-master-admin", "--yes"],
        ends: 4,
    },
];

const AFTER: &[Scene] = &[
    Scene { says: "Once more:", args: &["set-master-admin", "--yes", "--reason", "demo"], ends: 0 },
    Scene { says: "Who is an admin?", args: &["admin", "list"], ends: 0 },
    Scene {
        says: "Verify again, and try the guide's security tests on the database itself:",
        args: &["verify", "--probe", "--yes"],
        ends: 0,
    },
];

/// Runs it.
///
/// # Errors
/// No PostgreSQL server is installed, or a scene did not end as it should.
pub async fn run(cx: &Context, args: Args) -> Result<Report, Failure> {
    if cx.settings.dry_run {
        return Ok(scenes());
    }
    cx.console.say("starting a throwaway PostgreSQL (socket only, removed afterwards)");
    let sandbox = Sandbox::start(&cx.env, SandboxOptions::default())?;
    cx.interrupt.check()?;
    sandbox.create_database(DATABASE, None).await?;
    sandbox.execute(DATABASE, &baseline()).await?;
    cx.console
        .say(&format!("PostgreSQL {} is up, with sample data in {DATABASE}", sandbox.version()));

    let url = sandbox.url(DATABASE);
    let mut scenes = Vec::new();
    for scene in BEFORE {
        scenes.push(play(cx, &url, scene).await?);
    }
    change_password(cx, &sandbox).await?;
    for scene in AFTER {
        scenes.push(play(cx, &url, scene).await?);
    }
    let mut report = Report::new(Outcome::Done);
    report.data = json!({ "scenes": scenes, "url": args.keep.then_some(&url) });
    if args.keep {
        stay(cx, &url).await?;
    }
    report.body.push(Block::Text("demo over; the throwaway server is gone".into()));
    Ok(report)
}

/// What would be shown.
fn scenes() -> Report {
    let mut report = Report::new(Outcome::Planned);
    let all = BEFORE.iter().chain(AFTER);
    let step = |scene: &Scene| StepResult {
        id: scene.args[0].to_owned(),
        title: format!("markenmate {}", scene.args.join(" ")),
        status: StepStatus::Planned,
        duration_ms: None,
        detail: Some(scene.says.to_owned()),
    };
    report.steps = all.map(step).collect();
    report
}

/// The application's schema before the migration, and rows in it.
fn baseline() -> String {
    let schema = registry::find(1).map(|entry| entry.sql).unwrap_or_default();
    format!("SET search_path = pg_catalog;\n{schema}\n{}", sample::sql(200))
}

async fn play(cx: &Context, url: &str, scene: &Scene) -> Result<Value, Failure> {
    cx.interrupt.check()?;
    let human = cx.settings.format == Format::Human;
    if human {
        cx.console.print(&format!(
            "\n# {}\n$ markenmate {}\n",
            scene.says,
            scene.args.join(" ")
        ))?;
    }
    let output = itself::run(&cx.env, scene.args, &[("DATABASE_URL", url)])?;
    if human {
        cx.console.print(&output.stdout)?;
        cx.console.print(&format!("(exit {})\n", output.code))?;
    }
    if output.code != scene.ends {
        let ended = format!(
            "markenmate {} ended with {}, not {}",
            scene.args.join(" "),
            output.code,
            scene.ends
        );
        let said = output.stderr.lines().fold(Failure::unexpected(ended), Failure::because);
        return Err(said);
    }
    Ok(json!({ "command": scene.args.join(" "), "exit_code": output.code }))
}

/// In the application, by whoever logs in; here as the application stores it.
async fn change_password(cx: &Context, sandbox: &Sandbox) -> Result<(), Failure> {
    const SQL: &str = "UPDATE public.account a SET password = other.password FROM public.account other \
         JOIN public.\"user\" o ON o.id = other.user_id AND o.email = 'Zweite.Admin@Example.de' \
        WHERE a.user_id = (SELECT id FROM public.\"user\" WHERE email = 'admin@markenmate.app')";
    if cx.settings.format == Format::Human {
        cx.console.print(
            "\n# In the application, admin@markenmate.app logged in and changed the password.\n",
        )?;
    }
    sandbox.execute(DATABASE, SQL).await
}

/// Until Ctrl-C.
async fn stay(cx: &Context, url: &str) -> Result<(), Failure> {
    cx.console.print(&format!("\n{url}\n"))?;
    cx.console.insist(
        "the server stays until Ctrl-C; to look around: psql, or markenmate -d with that URL",
    );
    cx.interrupt.raised(1).await;
    Ok(())
}
