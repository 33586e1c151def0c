//! `backup`, `restore`: an inbox as one file, and back.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chrono::Utc;

use super::Failure;
use crate::inbox::reader::backup;

#[derive(Debug, clap::Args)]
pub(super) struct Backup {
    /// The file to make; it holds bodies, and its owner alone may read it
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct Restore {
    /// A file that `backup` has made
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn backup(inbox: &Path, arguments: &Backup) -> Result<ExitCode, Failure> {
    let file = &arguments.file;
    backup::backup(inbox, file)?;
    let mebibytes = std::fs::metadata(file)?.len().div_ceil(1 << 20);
    println!("{} holds the inbox of {}, {mebibytes} MiB", file.display(), inbox.display());
    Ok(ExitCode::SUCCESS)
}

pub(super) fn restore(inbox: &Path, arguments: &Restore) -> Result<ExitCode, Failure> {
    backup::restore(&arguments.file, inbox, Utc::now())?;
    let (inbox, file) = (inbox.display(), arguments.file.display());
    println!(
        "{inbox} holds what {file} held: what was not settled then comes again at the next start"
    );
    Ok(ExitCode::SUCCESS)
}
