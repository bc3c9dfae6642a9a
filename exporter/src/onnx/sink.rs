//! A protobuf message written front to back: framing of fields whose length is known, and a file that counts its bytes.

use crate::ExportError;
use prost::encoding::{WireType, encode_key, encode_varint};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Tag and length of an embedded message or byte string.
pub(super) fn field_start(field: u32, length: u64) -> Vec<u8> {
    let mut start = Vec::new();
    encode_key(field, WireType::LengthDelimited, &mut start);
    encode_varint(length, &mut start);
    start
}

/// Length of such a field with its content.
pub(super) fn field_length(field: u32, length: u64) -> u64 {
    long(field_start(field, length).len()) + length
}

/// A file that counts what was written and names itself when that fails.
pub(super) struct Sink {
    path: PathBuf,
    file: BufWriter<File>,
    pub(super) written: u64,
}

impl Sink {
    pub(super) fn create(path: &Path) -> Result<Self, ExportError> {
        let file = File::create(path).map_err(|source| ExportError::Unwritable { path: path.into(), source })?;
        Ok(Self { path: path.into(), file: BufWriter::with_capacity(1 << 20, file), written: 0 })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        self.written += long(bytes.len());
        self.file.write_all(bytes).map_err(|source| ExportError::Unwritable { path: self.path.clone(), source })
    }

    pub(super) fn finish(mut self) -> Result<u64, ExportError> {
        self.file.flush().map_err(|source| ExportError::Unwritable { path: self.path.clone(), source })?;
        Ok(self.written)
    }
}

/// A length in memory as a length in a file.
pub(super) fn long(length: usize) -> u64 {
    length as u64
}
