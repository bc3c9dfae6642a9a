//! A gallery whose answers are known: each scene's vector is what the random backbone makes of the phantom's response
//! to it.
//!
//! With it the simulated scanner's trials are retrieved, which shows that every step from voxel to rank is wired. It
//! is a wiring check, not brain decoding: the answer was put where it is found.

use crate::ExportError;
use crate::gallery::{Item, picture, write_gallery};
use crate::networks::{Backbone, Network};
use crate::random_init::Noise;
use crate::reference::Array;
use crate::staging::make_folder;
use crate::weights::StateDict;
use mindeye_preprocess::Mask;
use mindeye_preprocess::phantom::{response_pattern, scene_id};
use std::path::Path;

/// Scenes of the gallery: as many as MindEye's retrieval pools have.
pub(super) const SCENES: u32 = 300;

/// Writes the gallery into `folder/gallery`.
pub(super) fn write_planted(
    folder: &Path,
    backbone: &Backbone,
    state: &StateDict<'_>,
    mask: &Mask,
) -> Result<(), ExportError> {
    let voxels = (0..SCENES).flat_map(|scene| response_pattern(scene, mask).0).map(f64::from).collect();
    let voxels = Array::new(&[SCENES as usize, mask.len()], voxels);
    let [_, retrieval] = &backbone.reference(state, &[voxels])[..] else {
        unreachable!("a backbone has two outputs, backbone tokens and retrieval tokens");
    };
    let items: Vec<Item> = (0..SCENES).map(item).collect();
    write_gallery(&make_folder(folder, "gallery")?, &items, &retrieval.to_f32())
}

/// Writes a gallery of the same scenes with random vectors into `folder/gallery`: at published size the reference takes
/// minutes for what retrieval's latency does not need.
pub(super) fn write_random(folder: &Path, backbone: &Backbone, seed: u64) -> Result<(), ExportError> {
    let noise = Noise::new(seed, "gallery");
    let numbers = u64::from(SCENES) * (backbone.tokens * backbone.token_dim) as u64;
    let vectors: Vec<f32> = (0..numbers).map(|i| noise.bell(i)).collect();
    let items: Vec<Item> = (0..SCENES).map(item).collect();
    write_gallery(&make_folder(folder, "gallery")?, &items, &vectors)
}

fn item(scene: u32) -> Item {
    let id = scene_id(scene);
    Item { file: format!("{id}.png"), source: "drawn by mindeye-export".into(), thumb: picture(scene), id }
}
