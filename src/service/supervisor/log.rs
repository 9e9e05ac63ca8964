//! What a process wrote, kept in a file of bounded size.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;

/// A full file becomes the old one, in the place of the one before, and a new one begins.
const FULL: u64 = 1 << 20;

#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: Option<(File, u64)>,
    failed: Option<String>,
}

impl Log {
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: None, failed: None }
    }

    /// Adds a line. Where that fails, on a full disk say, the line is lost, and the next one tries again.
    pub fn add(&mut self, line: &str) {
        match self.try_add(line) {
            Ok(()) => self.failed = None,
            Err(error) => {
                self.file = None;
                self.failed = Some(format!("{}: {error}", self.path.display()));
            }
        }
    }

    /// Why the last line was lost, if it was.
    pub fn failed(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    fn try_add(&mut self, line: &str) -> io::Result<()> {
        if self.file.as_ref().is_some_and(|(_, bytes)| *bytes >= FULL) {
            self.file = None;
            std::fs::rename(&self.path, self.path.with_extension("log.1"))?;
        }
        let (file, bytes) = match &mut self.file {
            Some(open) => open,
            none => {
                let file = OpenOptions::new().append(true).create(true).open(&self.path)?;
                let bytes = file.metadata()?.len();
                none.insert((file, bytes))
            }
        };
        *bytes += line.len() as u64 + 1;
        file.write_all(format!("{line}\n").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_keeps_more_than_two_files_full() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::new(folder.path().join("omega-0.log"));
        let line = "x".repeat(99_999);
        for _ in 0..50 {
            log.add(&line);
        }
        assert_eq!(log.failed(), None);
        let sizes: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).collect();
        assert_eq!(sizes.len(), 2);
        assert!(sizes.iter().all(|&bytes| bytes <= FULL + 100_000), "{sizes:?}");
    }

    #[test]
    fn a_lost_line_is_told_and_the_next_one_tries_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("later/omega-0.log");
        let mut log = Log::new(path.clone());
        log.add("lost");
        assert!(log.failed().unwrap().contains("omega-0.log"));
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        log.add("kept");
        assert_eq!((log.failed(), std::fs::read_to_string(path).unwrap().as_str()), (None, "kept\n"));
    }
}
