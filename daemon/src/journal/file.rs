//! An append-only file of records that never keeps half a batch.

use super::record::{PREFIX, Record, decode_record, record_length};
use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 16] = b"MINDEYE-JRNL-1\r\n";

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The system refused.
    #[error("journal {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file does not begin as a journal does.
    #[error("{} is not a journal of this version: it begins with {found:?}, not {MAGIC:?}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its first bytes.
        found: Vec<u8>,
    },
    /// A record is whole but says something that this version cannot read.
    #[error("journal {}: record {record}: {message}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Number of the record, from 0.
        record: usize,
        /// What is wrong.
        message: String,
    },
    /// The file holds no whole run_start record.
    #[error("journal {} holds no run_start record", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl JournalError {
    pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }
}

/// The whole records of the journal at `path` and the length of the file up to the last of them.
///
/// Records are read one by one: memory holds their contents once.
///
/// # Errors
/// [`JournalError`] when the file cannot be read or is not a journal; a torn tail is not an error.
pub fn read_records(path: &Path) -> Result<(Vec<Record>, u64), JournalError> {
    let mut journal = Reading::open(path).map_err(JournalError::io(path))?;
    let magic = journal.take(MAGIC.len() as u64).map_err(JournalError::io(path))?;
    if !MAGIC.starts_with(&magic) {
        return Err(JournalError::Foreign { path: path.to_path_buf(), found: magic });
    }
    let mut records = Vec::new();
    let mut whole = magic.len() as u64;
    while let Some((record, length)) = journal.record().map_err(JournalError::io(path))? {
        records.push(record);
        whole += length;
    }
    Ok((records, whole))
}

/// A journal on its way through memory.
struct Reading {
    file: BufReader<File>,
    left: u64,
}

impl Reading {
    fn open(path: &Path) -> std::io::Result<Self> {
        let file = File::open(path)?;
        let left = file.metadata()?.len();
        Ok(Self { file: BufReader::new(file), left })
    }

    /// The next `length` bytes, or as many as are left: a damaged length never asks for more memory than the file has.
    fn take(&mut self, length: u64) -> std::io::Result<Vec<u8>> {
        let length = length.min(self.left);
        let mut bytes = vec![0; usize::try_from(length).map_err(std::io::Error::other)?];
        self.file.read_exact(&mut bytes)?;
        self.left -= length;
        Ok(bytes)
    }

    /// The next record and the bytes that it takes; `None` at the end or where the rest is torn.
    fn record(&mut self) -> std::io::Result<Option<(Record, u64)>> {
        let prefix = self.take(PREFIX as u64)?;
        let Some(length) = record_length(&prefix) else { return Ok(None) };
        let rest = self.take(length)?;
        Ok(decode_record(&prefix, rest).map(|record| (record, PREFIX as u64 + length)))
    }
}

/// A journal open for appending.
#[derive(Debug)]
pub struct AppendFile {
    path: PathBuf,
    file: File,
    length: u64,
}

impl AppendFile {
    /// As [`open`](Self::open), making the folders above `path` where they are missing.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn create(path: &Path) -> Result<Self, JournalError> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(JournalError::io(dir))?;
        }
        Self::open(path)
    }

    /// Opens or creates the journal at `path`. What follows the last whole record is moved to a file beside it, so that the
    /// next record follows the last whole one and nothing is lost, should the cause be damage and not a crash.
    ///
    /// # Errors
    /// [`JournalError`] when the file cannot be opened or is not a journal.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let whole = if path.exists() { read_records(path)?.1 } else { 0 };
        keep_torn_tail(path, whole).map_err(JournalError::io(path))?;
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(JournalError::io(path))?;
        let mut journal = Self { path: path.to_path_buf(), file, length: whole };
        journal.cut().map_err(JournalError::io(path))?;
        if whole < MAGIC.len() as u64 {
            journal.length = 0;
            journal.commit(MAGIC)?;
            sync_folder(path).map_err(JournalError::io(path))?;
        }
        Ok(journal)
    }

    /// Appends `bytes` (whole records). On failure the file is cut back to what it held before.
    ///
    /// # Errors
    /// [`JournalError::Io`]; nothing of `bytes` is kept then.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        match self.file.write_all(bytes) {
            Ok(()) => {
                self.length += bytes.len() as u64;
                Ok(())
            }
            Err(source) => {
                self.cut().map_err(JournalError::io(&self.path))?;
                Err(JournalError::Io { path: self.path.clone(), source })
            }
        }
    }

    /// Appends `bytes` (whole records) and waits until they are on the disk. On failure the file is cut back to what it held.
    ///
    /// # Errors
    /// [`JournalError::Io`]; nothing of `bytes` is kept then.
    pub fn commit(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        let before = self.length;
        self.append(bytes)?;
        self.sync().inspect_err(|_| {
            self.length = before;
            // The disk has failed once; whether it cuts or not, the next opening finds whole records only.
            let _ = self.cut();
        })
    }

    /// Waits until everything appended is on the disk.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.file.sync_data().map_err(JournalError::io(&self.path))
    }

    fn cut(&mut self) -> std::io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length)).map(|_| ())
    }
}

/// Copies what follows the first `whole` bytes of the file at `path` to `<path>.torn`.
fn keep_torn_tail(path: &Path, whole: u64) -> std::io::Result<()> {
    if !path.exists() || std::fs::metadata(path)?.len() <= whole {
        return Ok(());
    }
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(whole))?;
    let mut torn = OpenOptions::new().create(true).append(true).open(path.with_extension("journal.torn"))?;
    std::io::copy(&mut file, &mut torn)?;
    torn.sync_all()
}

/// A new file is safe once the folder that names it is.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::super::record::encode_record;
    use super::*;

    #[test]
    fn a_tail_torn_at_any_byte_is_cut_and_the_next_record_follows_the_last_whole_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let mut first = Vec::new();
        encode_record(1, b"first", b"", &mut first);
        let mut second = Vec::new();
        encode_record(2, b"second", b"body", &mut second);
        for torn in 0..second.len() {
            let mut bytes = MAGIC.to_vec();
            bytes.extend(&first);
            bytes.extend(&second[..torn]);
            std::fs::write(&path, &bytes).unwrap();
            AppendFile::open(&path).unwrap().append(&second).unwrap();
            let kinds: Vec<u8> = read_records(&path).unwrap().0.iter().map(|record| record.kind).collect();
            assert_eq!(kinds, [1, 2], "torn after {torn} bytes");
            let aside = std::fs::read(path.with_extension("journal.torn")).unwrap_or_default();
            assert!(aside.ends_with(&second[..torn]), "what was torn off is kept beside the journal");
        }
    }

    #[test]
    fn another_file_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.txt");
        std::fs::write(&path, "somebody's notes on the session").unwrap();
        assert!(matches!(AppendFile::open(&path), Err(JournalError::Foreign { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "somebody's notes on the session");
    }
}
