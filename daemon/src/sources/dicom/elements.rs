//! The list of elements that are let in, and their values by what they mean.

use dicom_core::Tag;
use std::collections::BTreeMap;

macro_rules! elements {
    ($($name:ident = ($group:literal, $element:literal);)*) => {
        $(pub(super) const $name: Tag = Tag($group, $element);)*
        /// Every element that may be kept.
        const LISTED: &[Tag] = &[$($name),*];
    };
}

elements! {
    TRANSFER_SYNTAX = (0x0002, 0x0010);
    IMAGE_TYPE = (0x0008, 0x0008);
    SOP_CLASS = (0x0008, 0x0016);
    SERIES_DATE = (0x0008, 0x0021);
    ACQUISITION_DATE = (0x0008, 0x0022);
    ACQUISITION_DATE_TIME = (0x0008, 0x002A);
    SERIES_TIME = (0x0008, 0x0031);
    ACQUISITION_TIME = (0x0008, 0x0032);
    SERIES_DESCRIPTION = (0x0008, 0x103E);
    COMPLEX_COMPONENT = (0x0008, 0x9208);
    SLICE_THICKNESS = (0x0018, 0x0050);
    REPETITION_TIME = (0x0018, 0x0080);
    SLICE_SPACING = (0x0018, 0x0088);
    PROTOCOL_NAME = (0x0018, 0x1030);
    FRAME_ACQUIRED = (0x0018, 0x9074);
    SIEMENS_19 = (0x0019, 0x0010);
    MOSAIC_SLICES = (0x0019, 0x100A);
    MOSAIC_SLICE_TIMES = (0x0019, 0x1029);
    SERIES_UID = (0x0020, 0x000E);
    SERIES_NUMBER = (0x0020, 0x0011);
    INSTANCE_NUMBER = (0x0020, 0x0013);
    POSITION = (0x0020, 0x0032);
    ORIENTATION = (0x0020, 0x0037);
    SIEMENS_21 = (0x0021, 0x0011);
    TIME_AFTER_START = (0x0021, 0x1104);
    TEMPORAL_POSITIONS = (0x0020, 0x0105);
    IN_STACK_POSITION = (0x0020, 0x9057);
    TEMPORAL_POSITION = (0x0020, 0x9128);
    SAMPLES_PER_PIXEL = (0x0028, 0x0002);
    FRAMES = (0x0028, 0x0008);
    ROWS = (0x0028, 0x0010);
    COLUMNS = (0x0028, 0x0011);
    PIXEL_SPACING = (0x0028, 0x0030);
    BITS_ALLOCATED = (0x0028, 0x0100);
    BITS_STORED = (0x0028, 0x0101);
    PIXEL_REPRESENTATION = (0x0028, 0x0103);
    RESCALE_INTERCEPT = (0x0028, 0x1052);
    RESCALE_SLOPE = (0x0028, 0x1053);
    SIEMENS_29 = (0x0029, 0x0010);
    CSA_IMAGE_HEADER = (0x0029, 0x1010);
}

pub(super) const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// Functional groups that are looked into: timing, frame content, plane position and orientation, Siemens' own, pixel
/// measures, rescaling.
const MACROS: [Tag; 7] = [
    Tag(0x0018, 0x9112),
    Tag(0x0020, 0x9111),
    Tag(0x0020, 0x9113),
    Tag(0x0020, 0x9116),
    Tag(0x0021, 0x11FE),
    Tag(0x0028, 0x9110),
    Tag(0x0028, 0x9145),
];

pub(super) fn is_listed(tag: Tag) -> bool {
    LISTED.contains(&tag)
}

pub(super) fn is_listed_macro(tag: Tag) -> bool {
    MACROS.contains(&tag)
}

/// Raw values of listed elements.
#[derive(Clone, Default)]
pub struct Elements(BTreeMap<Tag, Vec<u8>>);

/// Values are not shown: they could name a person.
impl std::fmt::Debug for Elements {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Elements {
    pub(super) fn keep(&mut self, tag: Tag, value: Vec<u8>) {
        self.0.insert(tag, value);
    }

    /// The bytes of `tag`.
    pub(super) fn bytes(&self, tag: Tag) -> Option<&[u8]> {
        self.0.get(&tag).map(Vec::as_slice)
    }

    /// ASCII text, without its padding.
    pub(super) fn text(&self, tag: Tag) -> Option<&str> {
        let text = std::str::from_utf8(self.bytes(tag)?).ok()?;
        Some(text.trim_matches([' ', '\0'])).filter(|text| !text.is_empty())
    }

    /// Text of any encoding, for comparison only.
    pub(super) fn lossy(&self, tag: Tag) -> String {
        self.bytes(tag).map_or_else(String::new, |bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    /// Backslash-separated decimal numbers (DS, IS).
    pub(super) fn decimals(&self, tag: Tag) -> Option<Vec<f64>> {
        self.text(tag)?.split('\\').map(|word| word.trim().parse().ok().filter(|n: &f64| n.is_finite())).collect()
    }

    /// One decimal number.
    pub(super) fn decimal(&self, tag: Tag) -> Option<f64> {
        self.decimals(tag)?.first().copied()
    }

    /// Exactly `N` decimal numbers.
    pub(super) fn decimal_array<const N: usize>(&self, tag: Tag) -> Option<[f64; N]> {
        self.decimals(tag)?.try_into().ok()
    }

    /// A whole decimal number, 0 or more.
    pub(super) fn whole(&self, tag: Tag) -> Option<u32> {
        self.text(tag)?.split('\\').next()?.trim().parse().ok()
    }

    /// Unsigned 16 bit (US).
    pub(super) fn short(&self, tag: Tag) -> Option<u16> {
        Some(u16::from_le_bytes(*self.bytes(tag)?.first_chunk()?))
    }

    /// Unsigned 32 bit (UL).
    pub(super) fn long(&self, tag: Tag) -> Option<u32> {
        Some(u32::from_le_bytes(*self.bytes(tag)?.first_chunk()?))
    }

    /// IEEE doubles (FD).
    pub(super) fn doubles(&self, tag: Tag) -> Option<Vec<f64>> {
        let (words, rest) = self.bytes(tag)?.as_chunks::<8>();
        let values = words.iter().map(|word| f64::from_le_bytes(*word)).collect::<Vec<_>>();
        Some(values).filter(|values| rest.is_empty() && values.iter().all(|value| value.is_finite()))
    }
}
