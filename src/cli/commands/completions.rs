//! `mb-encode completions`: what a shell completes.

use crate::cli::print::print;

/// Print shell completions
#[derive(Clone, Debug, clap::Args)]
pub struct CompletionsArgs {
    /// Which shell
    shell: clap_complete::Shell,
}

pub fn run(args: &CompletionsArgs, grammar: &clap::Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut shown(grammar), "mb-encode", &mut script);
    print(&script)
}

/// What of a command's grammar is for people: completions would tell of hidden options and subcommands, too.
fn shown(command: &clap::Command) -> clap::Command {
    clap::Command::new(command.get_name().to_owned())
        .version(env!("CARGO_PKG_VERSION"))
        .disable_version_flag(command.get_version().is_none())
        .about(command.get_about().cloned().unwrap_or_default())
        .disable_help_flag(true)
        .args(command.get_arguments().filter(|argument| !argument.is_hide_set()).cloned())
        .subcommands(command.get_subcommands().filter(|command| !command.is_hide_set()).map(shown))
}
