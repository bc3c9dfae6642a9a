//! Pictures to learn from: a folder of them, the pictures of a training folder, or one tensor; all of one side.

use crate::training_folder::{Split, map_file, read_trials};
use crate::{Draws, TrainError};
use image::imageops::{FilterType, crop_imm, resize};
use image::{DynamicImage, RgbImage};
use mindeye_config::{Sha256, sha256_of_bytes};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Extensions of pictures.
const ENDS: [&str; 3] = ["png", "jpg", "jpeg"];
/// The tensor of a safetensors file of pictures.
const TENSOR: &str = "pictures";

/// `u8[n][side][side][3]`, top row first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pictures {
    side: usize,
    rgb: Vec<u8>,
}

/// Which pictures are learned from, and which choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureSplit {
    /// To learn from.
    pub train: Vec<usize>,
    /// To choose the best epoch by.
    pub validation: Vec<usize>,
}

impl Pictures {
    /// The pictures at `path`, cut to their central square and resized to `side` pixels (bicubic): a safetensors file
    /// with `pictures` u8 `[n, side, side, 3]`; a training folder, whose test images are left out; or a folder of PNG
    /// and JPEG files in the order of their names.
    ///
    /// # Errors
    /// No such file, no pictures, one that cannot be read, a tensor of another shape or type.
    pub fn open(path: &Path, side: usize) -> Result<Self, TrainError> {
        if path.is_file() {
            return Self::of_tensor(path, side);
        }
        let folder = if path.join("images").is_dir() { path.join("images") } else { path.to_owned() };
        let left_out = test_images(&path.join("trials.tsv"))?;
        let mut rgb = Vec::new();
        for file in files(&folder)? {
            if !file.file_stem().is_some_and(|stem| left_out.contains(&*stem.to_string_lossy())) {
                let picture = image::open(&file).map_err(|e| TrainError::malformed(&file, e.to_string()))?;
                rgb.extend(square(&picture, side as u32).into_raw());
            }
        }
        Self::two_or_more(path, side, rgb)
    }

    fn of_tensor(path: &Path, side: usize) -> Result<Self, TrainError> {
        let map = map_file(path).map_err(TrainError::unreadable(path))?;
        let wrong = |problem: String| TrainError::malformed(path, problem);
        let file = SafeTensors::deserialize(&map).map_err(|e| wrong(format!("not a whole safetensors file: {e}")))?;
        let tensor = file.tensor(TENSOR).map_err(|_| wrong(format!("has no tensor `{TENSOR}`")))?;
        if tensor.dtype() != Dtype::U8 || tensor.shape().get(1..) != Some(&[side, side, 3]) {
            let (dtype, shape) = (tensor.dtype(), tensor.shape());
            return Err(wrong(format!("`{TENSOR}` must be U8 [n, {side}, {side}, 3], found {dtype:?} {shape:?}")));
        }
        Self::two_or_more(path, side, tensor.data().to_vec())
    }

    fn two_or_more(path: &Path, side: usize, rgb: Vec<u8>) -> Result<Self, TrainError> {
        let pictures = Self { side, rgb };
        if pictures.len() < 2 {
            let problem = format!(
                "needs two pictures or more (png, jpg, jpeg) that are not for testing, found {}",
                pictures.len()
            );
            return Err(TrainError::malformed(path, problem));
        }
        Ok(pictures)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rgb.len() / (3 * self.side * self.side)
    }

    /// Never: one was refused when it was opened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Side, pixels.
    #[must_use]
    pub fn side(&self) -> usize {
        self.side
    }

    /// `u8[side][side][3]` of picture `i`.
    #[must_use]
    pub fn picture(&self, i: usize) -> &[u8] {
        let size = 3 * self.side * self.side;
        &self.rgb[i * size..(i + 1) * size]
    }

    /// All of them at another side, bicubic as the preprocessing of CLIP.
    #[must_use]
    pub fn resized(&self, side: usize) -> Self {
        if side == self.side {
            return self.clone();
        }
        let one = |i: usize| {
            let whole = RgbImage::from_raw(self.side as u32, self.side as u32, self.picture(i).to_vec())
                .expect("a picture has 3 bytes for each pixel");
            resize(&whole, side as u32, side as u32, FilterType::CatmullRom).into_raw()
        };
        Self { side, rgb: (0..self.len()).flat_map(one).collect() }
    }

    /// Digest of all pixels.
    #[must_use]
    pub fn digest(&self) -> Sha256 {
        sha256_of_bytes(&self.rgb)
    }

    /// Holds back `share` of them for validation, one or more, chosen by `seed`; the others are learned from.
    #[must_use]
    pub fn split(&self, seed: u64, share: f64) -> PictureSplit {
        let order = Draws::new(seed, 0, "held back pictures").permutation(self.len());
        let count = ((share * self.len() as f64).round() as usize).clamp(1, self.len() - 1);
        let (mut validation, mut train) = (order[..count].to_vec(), order[count..].to_vec());
        validation.sort_unstable();
        train.sort_unstable();
        PictureSplit { train, validation }
    }
}

/// The picture files of a folder, sorted by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>, TrainError> {
    if !folder.is_dir() {
        return Err(TrainError::NoSuchFile { path: folder.to_owned() });
    }
    let is_picture = |path: &PathBuf| {
        let end = path.extension().unwrap_or_default();
        ENDS.iter().any(|known| end.eq_ignore_ascii_case(known))
    };
    let entries = std::fs::read_dir(folder).map_err(TrainError::unreadable(folder))?;
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_picture).collect();
    found.sort();
    Ok(found)
}

/// Names of the images that are for testing, where there is a table that says so.
fn test_images(table: &Path) -> Result<BTreeSet<String>, TrainError> {
    if !table.exists() {
        return Ok(BTreeSet::new());
    }
    let trials = read_trials(table)?;
    Ok(trials.iter().filter(|trial| trial.split == Split::Test).map(|trial| trial.image.to_string()).collect())
}

/// Central square, then bicubic.
fn square(picture: &DynamicImage, side: u32) -> RgbImage {
    let picture = picture.to_rgb8();
    let (width, height) = picture.dimensions();
    let shorter = width.min(height);
    let middle = crop_imm(&picture, (width - shorter) / 2, (height - shorter) / 2, shorter, shorter).to_image();
    if shorter == side { middle } else { resize(&middle, side, side, FilterType::CatmullRom) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, colour: u8) {
        RgbImage::from_pixel(6, 4, image::Rgb([colour, 0, 0])).save(folder.join(name)).unwrap();
    }

    #[test]
    fn a_folder_is_read_in_the_order_of_names_without_test_images() {
        let home = tempfile::tempdir().unwrap();
        for (name, colour) in [("b.png", 20), ("a.png", 10), ("c.png", 30), ("notes.txt.png", 40)] {
            write(home.path(), name, colour);
        }
        let table = "trial\timage\tsplit\tsession\trun\n0\ta\ttrain\ts\tr\n1\tb\ttest\ts\tr\n2\tc\tvalidation\ts\tr\n";
        std::fs::write(home.path().join("trials.tsv"), table).unwrap();
        let pictures = Pictures::open(home.path(), 2).unwrap();
        let reds: Vec<u8> = (0..pictures.len()).map(|i| pictures.picture(i)[0]).collect();
        assert_eq!(reds, [10, 30, 40]);
        assert_eq!(pictures.resized(1).picture(1), [30, 0, 0]);
    }

    #[test]
    fn a_split_is_the_seeds_and_holds_every_picture_once() {
        let pictures = Pictures { side: 1, rgb: vec![0; 3 * 20] };
        let split = pictures.split(3, 0.25);
        let mut all = [&split.train[..], &split.validation].concat();
        all.sort_unstable();
        assert_eq!((all, split.validation.len()), ((0..20).collect(), 5));
        assert_eq!(split, pictures.split(3, 0.25));
        assert_ne!(split, pictures.split(4, 0.25));
        assert_eq!(pictures.split(0, 0.0).validation.len(), 1, "one at least");
    }

    #[test]
    fn what_is_not_pictures_is_refused_with_both_sides() {
        let home = tempfile::tempdir().unwrap();
        let refused = |path: &Path| Pictures::open(path, 2).unwrap_err().to_string();
        assert!(refused(&home.path().join("none")).contains("no such file"));
        write(home.path(), "one.png", 1);
        assert!(
            refused(home.path()).contains("two pictures or more (png, jpg, jpeg) that are not for testing, found 1")
        );
        std::fs::write(home.path().join("two.png"), "no picture").unwrap();
        assert!(refused(home.path()).contains("two.png"));
        let file = home.path().join("p.safetensors");
        let view = safetensors::tensor::TensorView::new(Dtype::U8, vec![2, 3, 3, 3], &[0; 54]).unwrap();
        safetensors::serialize_to_file([("pictures", view)], None, &file).unwrap();
        assert!(refused(&file).contains("must be U8 [n, 2, 2, 3], found U8 [2, 3, 3, 3]"));
        assert_eq!(Pictures::open(&file, 3).unwrap().len(), 2);
    }
}
