//! From the bytes of a file of unknown origin to the few elements that are let in, and the place of its voxels.
//!
//! The parser hands over one element at a time and decodes none by itself; the depth of nesting, the number of frames and the
//! bytes kept are bounded here. A file that ends early is [`DicomError::Incomplete`]: it may still be growing.

use super::elements::{Elements, PIXEL_DATA, TRANSFER_SYNTAX, is_listed, is_listed_macro};
use dicom_core::Tag;
use dicom_core::header::Header;
use dicom_parser::dataset::LazyDataToken;
use dicom_parser::dataset::lazy_read::LazyDataSetReader;
use dicom_parser::stateful::decode::StatefulDecode;
use dicom_transfer_syntax_registry::entries;
use std::io::Cursor;
use std::ops::Range;

/// Deepest nesting of sequences that is followed; enhanced MR needs 4.
const MAX_DEPTH: usize = 16;
/// Most frames of one file.
const MAX_FRAMES: usize = 1024;
/// Longest element that is kept: a CSA image header has some 13 kB.
const MAX_KEPT_BYTES: u32 = 1 << 20;
/// Bytes before the first element: preamble and the word `DICM`.
const PREAMBLE: usize = 132;

const PER_FRAME: Tag = Tag(0x5200, 0x9230);
const SHARED: Tag = Tag(0x5200, 0x9229);
/// Of a fragment of compressed voxels; it is on no list.
const ITEM: Tag = Tag(0xFFFE, 0xE000);

/// Why a file gives no volume. No variant carries a word of the file: it could be a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DicomError {
    /// Not a DICOM file.
    #[error("not a DICOM file")]
    NotDicom,
    /// It ends before its voxels do.
    #[error("the file ends before its voxels do")]
    Incomplete,
    /// A transfer syntax other than the two uncompressed little-endian ones.
    #[error("compressed, big-endian or of an unknown transfer syntax")]
    Compressed,
    /// The bytes contradict each other.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// DICOM, but no volume of a BOLD series.
    #[error("not a volume: {0}")]
    NotAVolume(&'static str),
}

/// What was let in of one file.
#[derive(Debug, Default)]
pub struct DicomFile {
    /// Elements of the file itself.
    pub top: Elements,
    /// Elements of the functional groups that all frames share.
    pub shared: Elements,
    /// Elements of each frame's functional groups, in the file's order.
    pub frames: Vec<Elements>,
    /// Where the voxels lie in the file, bytes.
    pub voxels: Range<usize>,
}

/// Reads a whole file that lies in `bytes`.
///
/// # Errors
/// [`DicomError`].
pub fn walk(bytes: &[u8]) -> Result<DicomFile, DicomError> {
    if bytes.len() < PREAMBLE {
        return Err(DicomError::Incomplete);
    }
    if &bytes[128..PREAMBLE] != b"DICM" {
        return Err(DicomError::NotDicom);
    }
    let mut file = DicomFile::default();
    let begin = read_meta(bytes, &mut file.top)?;
    match file.top.text(TRANSFER_SYNTAX) {
        Some("1.2.840.10008.1.2.1") => read_dataset(bytes, begin, &entries::EXPLICIT_VR_LITTLE_ENDIAN.erased(), file),
        Some("1.2.840.10008.1.2") => read_dataset(bytes, begin, &entries::IMPLICIT_VR_LITTLE_ENDIAN.erased(), file),
        _ => Err(DicomError::Compressed),
    }
}

/// The file meta group is explicit little-endian always, without sequences; returns where it ends.
fn read_meta(bytes: &[u8], top: &mut Elements) -> Result<usize, DicomError> {
    let mut at = PREAMBLE;
    loop {
        let header: &[u8; 12] = bytes[at..].first_chunk().ok_or(DicomError::Incomplete)?;
        let tag = Tag(u16::from_le_bytes([header[0], header[1]]), u16::from_le_bytes([header[2], header[3]]));
        if tag.group() != 2 {
            return Ok(at);
        }
        let has_long_length = matches!(&header[4..6], b"OB" | b"OW" | b"OF" | b"SQ" | b"UN" | b"UT");
        let (begin, length) = if has_long_length {
            (at + 12, u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize)
        } else {
            (at + 8, usize::from(u16::from_le_bytes([header[6], header[7]])))
        };
        let value = bytes.get(begin..begin + length).ok_or(DicomError::Incomplete)?;
        if tag == TRANSFER_SYNTAX {
            top.keep(tag, value.to_vec());
        }
        at = begin + length;
    }
}

fn read_dataset(
    bytes: &[u8],
    begin: usize,
    syntax: &dicom_transfer_syntax_registry::TransferSyntax,
    file: DicomFile,
) -> Result<DicomFile, DicomError> {
    let mut source = Cursor::new(bytes);
    source.set_position(begin as u64);
    let reader = LazyDataSetReader::new_with_ts(source, syntax);
    let mut reader = reader.map_err(|_| DicomError::Malformed("the parser cannot begin"))?;
    let mut walker = Walker { bytes, path: Vec::new(), file };
    loop {
        // An element that the parser cannot read is cut off, as far as anyone can tell: a growing file ends anywhere.
        let Some(Ok(token)) = reader.advance() else { return Err(DicomError::Incomplete) };
        if walker.step(token)? == Step::Voxels {
            return Ok(walker.file);
        }
    }
}

/// What a token led to.
#[derive(PartialEq, Eq)]
enum Step {
    On,
    /// The voxels are found: what follows is padding.
    Voxels,
}

/// Where the walk stands.
struct Walker<'a> {
    bytes: &'a [u8],
    /// Sequences around the current element, outermost first.
    path: Vec<Tag>,
    file: DicomFile,
}

impl Walker<'_> {
    fn step<D: StatefulDecode>(&mut self, token: LazyDataToken<D>) -> Result<Step, DicomError> {
        match token {
            LazyDataToken::SequenceStart { .. } if self.path.len() == MAX_DEPTH => {
                return Err(DicomError::Malformed("sequences are nested too deeply"));
            }
            LazyDataToken::SequenceStart { tag, .. } => self.path.push(tag),
            LazyDataToken::SequenceEnd => drop(self.path.pop()),
            LazyDataToken::ItemStart { .. } if self.path == [PER_FRAME] => self.frame()?,
            LazyDataToken::PixelSequenceStart => return Err(DicomError::Compressed),
            LazyDataToken::LazyValue { header, decoder } => return self.value(header.tag(), header.len.get(), decoder),
            LazyDataToken::LazyItemValue { len, decoder } => {
                self.value(ITEM, Some(len), decoder)?;
            }
            _ => {}
        }
        Ok(Step::On)
    }

    fn frame(&mut self) -> Result<(), DicomError> {
        if self.file.frames.len() == MAX_FRAMES {
            return Err(DicomError::Malformed("too many frames"));
        }
        self.file.frames.push(Elements::default());
        Ok(())
    }

    /// Keeps a listed value; any other is skipped.
    fn value(&mut self, tag: Tag, length: Option<u32>, mut decoder: impl StatefulDecode) -> Result<Step, DicomError> {
        let length = length.ok_or(DicomError::Malformed("a value without a length"))?;
        let begin = usize::try_from(decoder.position()).map_err(|_| DicomError::Incomplete)?;
        let place = begin..begin.saturating_add(length as usize);
        let value = self.bytes.get(place.clone()).ok_or(DicomError::Incomplete)?;
        if tag == PIXEL_DATA && self.path.is_empty() {
            self.file.voxels = place;
            return Ok(Step::Voxels);
        }
        if is_listed(tag) && length <= MAX_KEPT_BYTES {
            self.file.place(&self.path).into_iter().for_each(|elements| elements.keep(tag, value.to_vec()));
        }
        decoder.skip_bytes(length).map_err(|_| DicomError::Incomplete)?;
        Ok(Step::On)
    }
}

impl DicomFile {
    /// Where an element below the sequences `path` is kept, if anywhere.
    fn place(&mut self, path: &[Tag]) -> Option<&mut Elements> {
        match path {
            [] => Some(&mut self.top),
            [SHARED, group] if is_listed_macro(*group) => Some(&mut self.shared),
            [PER_FRAME, group] if is_listed_macro(*group) => self.frames.last_mut(),
            _ => None,
        }
    }
}
