//! Where things lie: the repository, cargo's target folder, and the folder of run-time libraries.

use crate::command;
use crate::failure::{Failure, Result};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Names the folder of run-time libraries outright; the product's programs read the same variable.
const RUNTIME_DIR_VARIABLE: &str = "MINDEYE_RUNTIME_DIR";

/// Absolute folders of this clone.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// Where cargo builds, wherever its configuration puts that.
    pub(crate) target: PathBuf,
    /// `.runtime/` at the root, or what `MINDEYE_RUNTIME_DIR` says.
    pub(crate) runtime: PathBuf,
    /// Whether the environment moved `runtime` away from the root.
    moved: bool,
}

impl Workspace {
    pub(crate) fn find() -> Result<Self> {
        let root = root();
        let asked = std::env::var_os(RUNTIME_DIR_VARIABLE).filter(|asked| !asked.is_empty());
        let runtime = asked.as_ref().map_or_else(|| Ok(root.join(".runtime")), std::path::absolute);
        let runtime = runtime.map_err(|error| Failure::usage(format!("{RUNTIME_DIR_VARIABLE}: {error}")))?;
        Ok(Self { target: target(&root)?, root, runtime, moved: asked.is_some() })
    }

    /// A workspace that is nowhere but in `folder`, for tests.
    #[cfg(test)]
    pub(crate) fn within(folder: &Path) -> Self {
        let (root, target, runtime) = (folder.into(), folder.join("target"), folder.join("runtime"));
        Self { root, target, runtime, moved: true }
    }

    /// A command that runs at the root and finds this workspace's libraries.
    pub(crate) fn program(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).env(RUNTIME_DIR_VARIABLE, &self.runtime);
        // .cargo/config.toml says the same for the usual place; another spelling of it would rebuild zmq-sys.
        if self.moved {
            command.env("LIBZMQ_PREFIX", self.runtime.join("zmq"));
        }
        command
    }

    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(cargo());
        command.args(arguments);
        command
    }

    pub(crate) fn release_binary(&self, name: &str) -> PathBuf {
        self.target.join("release").join(name)
    }
}

/// The repository that this binary was built in.
pub(crate) fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

/// The cargo that started us, else the one on the path.
fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn target(root: &Path) -> Result<PathBuf> {
    let mut metadata = Command::new(cargo());
    metadata.current_dir(root).args(["metadata", "--no-deps", "--format-version", "1"]);
    let text = command::capture("cargo metadata", &mut metadata, Duration::from_secs(120))?;
    let metadata: Value = serde_json::from_str(&text).map_err(|e| Failure::other(format!("cargo metadata: {e}")))?;
    let target = metadata["target_directory"].as_str();
    target.map(PathBuf::from).ok_or_else(|| Failure::other("cargo metadata names no target_directory"))
}
