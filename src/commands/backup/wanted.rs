//! How a backup is to be made, from the flags and what was seen. Pure.

use crate::backup::form::{self, Compression, Form, Method};
use crate::backup::place::PREFIX;
use crate::context::Context;
use crate::failure::Failure;
use crate::settings::Format;
use crate::tools::age;

use super::{Args, Seen, Work};

pub(super) fn work(cx: &Context, args: &Args, seen: &Seen) -> Result<Work, Failure> {
    let form = form(args, seen)?;
    if args.to_stdout() && cx.settings.format == Format::Json {
        return Err(Failure::usage("the backup and the JSON document cannot both go to stdout")
            .hint("write the backup to a file: -o FILE.sql"));
    }
    if args.to_stdout() && args.restore_test {
        return Err(Failure::usage("what goes to stdout has no manifest to be tested against")
            .hint("write it to a file: -o FILE.sql --restore-test"));
    }
    if args.to_stdout() && !args.recipient.is_empty() {
        return Err(Failure::usage(
            "an encrypted backup has a manifest beside it: stdout has no place for it",
        )
        .hint("write it to a file: -o FILE.dump.age"));
    }
    if args.jobs.is_some_and(|jobs| jobs > 1) && form != Form::Directory {
        return Err(Failure::usage(format!(
            "--jobs is for a folder, not for the form {}",
            form.word()
        ))
        .hint("leave out --jobs, or write a folder: -F directory"));
    }
    let compression = match (&args.compress, form) {
        (Some(compression), Form::Plain) if compression.method != Method::None => {
            return Err(Failure::usage("a plain backup is not compressed")
                .hint("leave out --compress, or take another form: -F custom"));
        }
        (Some(compression), _) => compression.clone(),
        (None, Form::Plain) => Compression { method: Method::None, level: None },
        (None, _) => seen.cheapest.clone(),
    };
    let target = match &args.output {
        Some(path) => path.clone(),
        None => {
            let stamp = cx.started_at.format("%Y-%m-%dT%H-%M-%S-%3fZ");
            let encrypted = if args.recipient.is_empty() { "" } else { ".age" };
            cx.settings.backup_dir.join(format!("{PREFIX}{stamp}{}{encrypted}", form.extension()))
        }
    };
    Ok(Work {
        to_stdout: args.to_stdout(),
        make_folder: args.output.is_none(),
        target,
        form,
        compression,
        jobs: if form == Form::Directory { args.jobs.unwrap_or(2) } else { 1 },
        recipients: args.recipient.clone(),
        pg_dump: seen.pg_dump.clone(),
        server_version_num: seen.server_version_num,
    })
}

fn form(args: &Args, seen: &Seen) -> Result<Form, Failure> {
    let said = args.dump_format;
    if args.to_stdout() {
        return match said {
            Some(Form::Directory) => {
                Err(Failure::usage("a folder cannot be written to stdout").hint("leave out -F"))
            }
            said => Ok(said.unwrap_or(Form::Plain)),
        };
    }
    // A pipe lies between pg_dump and the file.
    let piped = seen.pg_dump.is_inside() || !args.recipient.is_empty();
    let mut output = args.output.clone();
    if !args.recipient.is_empty()
        && output.as_ref().is_some_and(|path| path.extension().is_some_and(|e| e == age::EXTENSION))
    {
        output = output.map(|path| path.with_extension(""));
    }
    let form = match (said, form::choose(said, output.as_deref())?) {
        (None, Form::Directory) if piped => Form::Custom,
        (_, form) => form,
    };
    if form == Form::Directory && piped {
        return Err(Failure::usage(
            "a folder can neither be encrypted nor come out of a container",
        )
        .hint("take the custom form: -F custom"));
    }
    if form == Form::Plain && !args.recipient.is_empty() {
        return Err(Failure::usage(
            "what is encrypted is in the custom form, which pg_restore reads",
        )
        .hint("leave out -F, or name it FILE.dump.age"));
    }
    Ok(form)
}
