//! A gallery whose answers are known: each scene's vector is what the random backbone makes of the phantom's response
//! to it.
//!
//! With it the simulated scanner's trials are retrieved, which shows that every step from voxel to rank is wired. It
//! is a wiring check, not brain decoding: the answer was put where it is found.

use crate::ExportError;
use crate::gallery::{Item, picture, write_gallery};
use crate::networks::{Backbone, Network};
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

fn item(scene: u32) -> Item {
    let id = scene_id(scene);
    Item { file: format!("{id}.png"), source: "drawn by mindeye-export".into(), thumb: picture(scene), id }
}
