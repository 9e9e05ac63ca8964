//! `mb-encode gpus`: the GPUs of this machine, by the numbers that `--device` and `--devices` take.

use crate::cli::print::print;
use crate::doctor::Gpus;
use std::fmt::Write as _;

const AFTER_HELP: &str = "\
Numbers:
  As CUDA counts them, the fastest first. CUDA_DEVICE_ORDER=PCI_BUS_ID makes it count as nvidia-smi does, and
  CUDA_VISIBLE_DEVICES chooses among them.";

/// List the GPUs, by the numbers that options take, and say which of them have NVENC
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct GpusArgs {
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

pub fn run(args: &GpusArgs) -> anyhow::Result<()> {
    let found = Gpus::find();
    // On a line of its own, also where a driver has begun one and not ended it.
    let text = if args.json { format!("\n{}\n", serde_json::to_string(&found)?) } else { table(&found) };
    print(text.as_bytes())
}

/// One line a GPU.
fn table(found: &Gpus) -> String {
    let width = found.gpus.iter().map(|gpu| gpu.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    // Writing to a string cannot fail.
    for gpu in &found.gpus {
        let nvenc = match &gpu.without_nvenc {
            Some(why) => format!("no NVENC: {why}"),
            None => "NVENC".to_owned(),
        };
        let _ = writeln!(text, "{:>2}  {:width$}  {nvenc}", gpu.number, gpu.name);
    }
    if let Some(why) = &found.why_none {
        let _ = writeln!(text, "no GPU: {why}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Gpu;
    use crate::stats::Fallback;

    #[test]
    fn a_line_a_gpu() {
        let why = || Fallback { code: "no-nvenc".to_owned(), why: "this GPU has none: status 2".to_owned() };
        let gpu = |number, name: &str, without_nvenc| Gpu { number, name: name.to_owned(), without_nvenc };
        let found = Gpus { gpus: vec![gpu(0, "L4", None), gpu(1, "H100", Some(why()))], why_none: None };
        assert_eq!(table(&found), " 0  L4    NVENC\n 1  H100  no NVENC: this GPU has none: status 2 [no-nvenc]\n");
        let none = Gpus { gpus: Vec::new(), why_none: Some(why()) };
        assert_eq!(table(&none), "no GPU: this GPU has none: status 2 [no-nvenc]\n");
    }
}
