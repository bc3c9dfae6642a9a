//! Where engines are kept, and when one that is there is the one wanted.
//!
//! An engine stands alone with its report: nothing else lists it, so compiling one changes no manifest and no hash of a
//! bundle. The report is written last and names the engine's digest; an engine without a true report is none.

use super::{CompileError, Target};
#[cfg(feature = "tensorrt")]
use super::{CompileReport, EngineIdentity};
use mindeye_config::{Sha256, sha256_of_bytes, sha256_of_file};
use std::ffi::OsString;
#[cfg(any(test, feature = "tensorrt"))]
use std::fs;
use std::path::{Path, PathBuf};

/// The engine of `graph` for `target`: of `B/networks/N.onnx`, it is `B/engines/<target>/N.engine`.
#[must_use]
pub fn engine_path(graph: &Path, target: Target) -> PathBuf {
    let bundle = graph.parent().and_then(Path::parent).unwrap_or_else(|| Path::new(""));
    let name = with_suffix(Path::new(graph.file_stem().unwrap_or_default()), ".engine");
    bundle.join("engines").join(target.key()).join(name)
}

/// The report of an engine: of `N.engine`, it is `N.engine.json`.
#[must_use]
pub fn report_path(engine: &Path) -> PathBuf {
    with_suffix(engine, ".json")
}

/// Digest of the graph file's digest and that of its `.data` file, where there is one.
pub(super) fn graph_digest(graph: &Path) -> Result<Sha256, CompileError> {
    let digest = |path: &Path| sha256_of_file(path).map_err(CompileError::unreadable(path));
    let data = with_suffix(graph, ".data");
    let weights = if data.exists() { digest(&data)?.to_string() } else { String::new() };
    Ok(sha256_of_bytes(format!("{}\n{weights}\n", digest(graph)?).as_bytes()))
}

/// The engine of `graph` for `target` if its report says that `library` compiled it from that very graph.
///
/// # Errors
/// [`CompileError::NotCompiled`] with the remedy, [`CompileError::Unreadable`].
#[cfg(feature = "tensorrt")]
pub(crate) fn find_engine(graph: &Path, target: Target, library: &str) -> Result<PathBuf, CompileError> {
    let path = engine_path(graph, target);
    let refused = |what: String| CompileError::NotCompiled {
        path: path.clone(),
        graph: graph.to_path_buf(),
        target,
        message: format!("{what}; run `mindeye-export engine BUNDLE --target {target}`"),
    };
    let text = fs::read(report_path(&path)).map_err(|error| refused(format!("its report: {error}")))?;
    let report: CompileReport =
        serde_json::from_slice(&text).map_err(|error| refused(format!("its report: {error}")))?;
    let identity = EngineIdentity {
        graph_sha256: graph_digest(graph)?,
        library: library.to_owned(),
        target,
        precision: report.identity.precision,
    };
    if report.identity != identity {
        return Err(refused(format!("it is {:?}, wanted is {identity:?}", report.identity)));
    }
    let found = sha256_of_file(&path).map_err(CompileError::unreadable(&path))?;
    if found == report.engine_sha256 {
        return Ok(path);
    }
    Err(refused(format!("its sha256 is {found}, its report says {}", report.engine_sha256)))
}

/// The report of the engine at `engine` if it is that of `identity` and its bytes are the reported ones.
#[cfg(feature = "tensorrt")]
pub(super) fn find(engine: &Path, identity: &EngineIdentity) -> Option<CompileReport> {
    let report: CompileReport = serde_json::from_slice(&fs::read(report_path(engine)).ok()?).ok()?;
    let is_wanted = report.identity == *identity && sha256_of_file(engine).ok()? == report.engine_sha256;
    is_wanted.then_some(report)
}

/// Puts engine and report in place, each by a rename; the former report goes first, so that no moment shows a false one.
#[cfg(feature = "tensorrt")]
pub(super) fn keep(engine: &Path, bytes: &[u8], report: &CompileReport) -> Result<(), CompileError> {
    let report_path = report_path(engine);
    match fs::remove_file(&report_path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(CompileError::unwritable(&report_path)(error));
        }
        _ => {}
    }
    let text = serde_json::to_string_pretty(report).expect("a report holds names and numbers only");
    write_whole(engine, bytes)?;
    write_whole(&report_path, format!("{text}\n").as_bytes())
}

/// Through a sibling that is renamed, with the rights of a plain file.
#[cfg(feature = "tensorrt")]
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), CompileError> {
    use std::io::Write;
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".mindeye-engine-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut sibling = builder.tempfile_in(folder).map_err(CompileError::unwritable(folder))?;
    sibling.write_all(bytes).map_err(CompileError::unwritable(path))?;
    sibling.as_file().sync_all().map_err(CompileError::unwritable(path))?;
    sibling.persist(path).map_err(|error| CompileError::unwritable(path)(error.error))?;
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_lies_beside_the_networks_under_its_target() {
        let engine = engine_path(Path::new("b/networks/vae-decoder.onnx"), Target::Sm89);
        assert_eq!(engine, Path::new("b/engines/sm_89/vae-decoder.engine"));
        assert_eq!(report_path(&engine), Path::new("b/engines/sm_89/vae-decoder.engine.json"));
    }

    #[test]
    fn a_graphs_digest_covers_its_weights_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let graph = dir.path().join("g.onnx");
        fs::write(&graph, b"graph").unwrap();
        let alone = graph_digest(&graph).unwrap();
        fs::write(dir.path().join("g.onnx.data"), b"weights").unwrap();
        let with_weights = graph_digest(&graph).unwrap();
        fs::write(dir.path().join("g.onnx.data"), b"others").unwrap();
        let digests = [alone, with_weights, graph_digest(&graph).unwrap()];
        assert!(digests[0] != digests[1] && digests[1] != digests[2] && digests[0] != digests[2], "{digests:?}");
        assert!(matches!(graph_digest(&dir.path().join("absent.onnx")), Err(CompileError::Unreadable { .. })));
    }
}
