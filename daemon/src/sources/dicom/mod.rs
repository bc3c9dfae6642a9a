//! One DICOM file, one volume: Siemens mosaics and XA enhanced multi-frame files become a grid in RAS and its voxels.
//!
//! # What is read
//!
//! Elements outside this list are skipped without being decoded; of those inside it, protocol name, series description and
//! series UID are used to tell series apart and are then forgotten.
//!
//! | element | for |
//! |---|---|
//! | (0002,0010) | uncompressed little-endian or not |
//! | (0008,0008), (0008,0016), (0008,9208) | kind of picture: mosaic, magnitude, phase, motion corrected |
//! | (0008,0021), (0008,0031), (0008,0022), (0008,0032), (0008,002A) | acquisition time, as seconds since the series' own time |
//! | (0008,103E), (0018,1030), (0020,000E), (0020,0011), (0020,0013) | which series, which volume of it |
//! | (0018,0050), (0018,0088), (0020,0032), (0020,0037), (0028,0030) | geometry |
//! | (0018,0080), (0020,0105) | repetition time, volumes planned |
//! | (0028,0002), (0028,0008), (0028,0010), (0028,0011), (0028,0100), (0028,0101), (0028,0103), (0028,1052), (0028,1053) | voxels |
//! | (0019,0010), (0019,100A), (0019,1029), (0029,0010), (0029,1010) | Siemens: slices in a mosaic, slice times, slice normal |
//! | (5200,9229), (5200,9230) and in them (0018,9112), (0020,9111), (0020,9113), (0020,9116), (0021,11FE), (0028,9110), (0028,9145) with (0018,9074), (0020,9057), (0020,9128), (0021,0011), (0021,1104) and the above | the same, frame by frame |

mod csa;
mod elements;
mod enhanced;
mod geometry;
mod mosaic;
mod time;
mod volume;
mod walk;

pub use csa::{CsaError, read_csa};
pub use elements::Elements;
pub use volume::{DicomVolume, ImageKind, Series, read_dicom};
pub use walk::{DicomError, DicomFile, walk};
