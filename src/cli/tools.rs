//! `tools`: the contract of each tool, one file each, so that a change to what agents see shows in
//! review.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;

use crate::server::{contract_files, total_list_bytes};

use super::serve::registry;
use super::{Failure, output};

/// Options of `tools`.
#[derive(Debug, Args)]
pub struct ToolsArgs {
    /// Folder to write to.
    #[arg(long, default_value = "tools", value_name = "DIR")]
    out: PathBuf,
}

/// Writes the files and removes those of tools that are gone.
pub fn tools(args: &ToolsArgs) -> Result<(), Failure> {
    let registry = registry()?;
    let broken = |error: String| Failure::new(error, "This is a bug.");
    let files = contract_files(&registry).map_err(|error| broken(error.to_string()))?;
    let bytes = total_list_bytes(&registry).map_err(|error| broken(error.to_string()))?;
    std::fs::create_dir_all(&args.out)?;
    let current: BTreeSet<String> = files.iter().map(|(name, _)| name.clone()).collect();
    for entry in std::fs::read_dir(&args.out)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let json = path
            .extension()
            .is_some_and(|extension| extension == "json");
        if json && name.is_some_and(|name| !current.contains(&name)) {
            std::fs::remove_file(&path)?;
        }
    }
    for (name, text) in &files {
        std::fs::write(args.out.join(name), text)?;
    }
    output::line(&format!(
        "{} tools in {}, {bytes} bytes as tools/list",
        files.len(),
        args.out.display()
    ))
}
