//! The list of a bundle's files with lengths and digests, made by looking at what was written.

use crate::ExportError;
use mindeye_config::{FileEntry, sha256_of_file};
use std::path::Path;

/// Every file below `folder`, sorted by path.
///
/// # Errors
/// What the file system says.
pub(super) fn list_files(folder: &Path) -> Result<Vec<FileEntry>, ExportError> {
    let mut files = Vec::new();
    collect(folder, "", &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<FileEntry>) -> Result<(), ExportError> {
    let unreadable = |source| ExportError::Unreadable { path: folder.to_path_buf(), source };
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = format!("{prefix}{}", path.file_name().unwrap_or_default().to_string_lossy());
        if path.is_dir() {
            collect(&path, &format!("{name}/"), files)?;
        } else {
            let sha256 = sha256_of_file(&path).map_err(unreadable)?;
            let bytes = std::fs::metadata(&path).map_err(unreadable)?.len();
            files.push(FileEntry { path: name, sha256, bytes });
        }
    }
    Ok(())
}
