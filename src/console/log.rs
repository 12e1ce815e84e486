//! The tool's own log lines: on stderr, and only where `-v` asks for them.

use tracing_subscriber::EnvFilter;

/// Starts writing log lines: `-v` says what was asked of the server and how long it took, `-vv`
/// shows the SQL too. Without `-v` nothing is set up.
pub fn start(verbose: u8, as_json: bool) {
    let level = match verbose {
        0 => return,
        1 => "markenmate=info",
        _ => "markenmate=debug",
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(level))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false);
    // Somebody who embeds the library may have set up lines of their own.
    if as_json {
        let _ = lines.json().try_init();
    } else {
        let _ = lines.try_init();
    }
}
