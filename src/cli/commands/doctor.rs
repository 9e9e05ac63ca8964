//! `mb-encode doctor`: the self-check, as a table for people or as JSON.

use crate::cli::number::within;
use crate::cli::options::parse_device;
use crate::cli::print::print;
use crate::doctor::{self, Group, Report, State};
use crate::os::environment::variable;
use crate::os::process;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

const AFTER_HELP: &str = "\
States:
  OK     it works
  WARN   it works less well than it might, or is missing and seldom needed
  FAIL   it does not work; what to do stands behind the arrow
  SKIP   not tried, because something that it needs failed

JSON: one object, to which later versions only add.
  version   of mb-encode
  encoder   what works, for --encoder: \"nvenc\", \"openh264\", or null
  verdict   a sentence for people
  checks    a list, in the order of the table, of objects with
              check    its name for programs, such as \"gl-renderer\" or \"nvenc-session\"
              name     its name for people
              state    \"OK\", \"WARN\", \"FAIL\" or \"SKIP\"
              found    what was seen, for people
              remedy   what to do, for people; empty where there is nothing to do

Exit codes:
  0   some encoder works
  1   none does
  2   wrong use";

/// Check every part that a stream needs, and say what is wrong and how to fix it
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct DoctorArgs {
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,

    /// Try this GPU, counted as CUDA counts them [default: the first]
    #[arg(long, env = "MB_ENCODE_DEVICE", hide_env_values = true, value_name = "N", value_parser = parse_device)]
    device: Option<u32>,

    /// Longest that a group of checks may take: 1 to 600
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = within(1..=600u32))]
    timeout: u32,

    /// Check one group of parts in this process
    #[arg(long, hide = true)]
    probe: Option<Group>,
}

pub fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    if let Some(group) = args.probe {
        doctor::probe(group, args.device, &mut std::io::stdout())?;
        return Ok(ExitCode::SUCCESS);
    }
    let report = doctor::examine(args.device, Duration::from_secs(args.timeout.into()), |group| {
        let mut command = process::this_program();
        // What is set for streams is not for the probes: the last words of one that crashes are to be its driver's.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"MB_ENCODE_") {
                command.env_remove(name);
            }
        }
        command.env("MB_ENCODE_LOG_LEVEL", "error");
        command.args(["doctor", "--probe", group.word()]);
        if let Some(device) = args.device {
            command.arg(format!("--device={device}"));
        }
        command
    });
    let text = if args.json { report.json() } else { table(&report, is_colourful()) };
    print(text.as_bytes())?;
    Ok(if report.works().is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn is_colourful() -> bool {
    std::io::stdout().is_terminal() && variable("NO_COLOR").is_none()
}

/// State, part and what was seen in columns, with the remedy below.
fn table(report: &Report, colourful: bool) -> String {
    let width = report.findings.iter().map(|it| it.name().len()).max().unwrap_or(0);
    let mut text = String::new();
    // Writing to a string cannot fail.
    for finding in &report.findings {
        let word = format!("{:<4}", finding.state.word());
        let word = if colourful { format!("\x1b[{}m{word}\x1b[0m", colour(finding.state)) } else { word };
        let _ = writeln!(text, "{word}  {:<width$}  {}", finding.name(), finding.found);
        for (at, line) in finding.remedy.lines().enumerate() {
            let mark = if at == 0 { "->" } else { "  " };
            let _ = writeln!(text, "{:width$}        {mark} {line}", "");
        }
    }
    let _ = writeln!(text, "\n{}", report.verdict());
    text
}

fn colour(state: State) -> u8 {
    match state {
        State::Ok => 32,
        State::Warn => 33,
        State::Fail => 31,
        State::Skip => 2,
    }
}
