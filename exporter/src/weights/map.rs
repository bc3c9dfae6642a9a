//! A file seen as bytes without reading it: pages come in when they are touched and leave under memory pressure.

use memmap2::Mmap;
use std::fs::File;
use std::path::Path;

/// Maps the file at `path` for reading.
///
/// # Errors
/// What the file system says.
#[expect(unsafe_code, reason = "memory mapping is unsafe by nature: another process may change the file")]
pub(crate) fn map(path: &Path) -> std::io::Result<Mmap> {
    let file = File::open(path)?;
    // SAFETY: the map is read-only and nothing here writes to the file. A file that another process truncates while it
    // is mapped ends this program with SIGBUS, as it would end PyTorch's loader; no memory of ours is written through
    // it.
    unsafe { Mmap::map(&file) }
}
