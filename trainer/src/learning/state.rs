//! Where a training stands: weights, moments and average in one file, from which it goes on as if never stopped.

use super::adamw::AdamW;
use super::loss_scale::LossScale;
use super::parameters::{Parameters, sizes, tensor_of};
use crate::TrainError;
use crate::checkpoint::{Numbers, read_safetensors, write_safetensors};
use std::collections::BTreeMap;
use std::path::Path;
use tch::Tensor;

/// The epoch whose weights the checkpoint holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Best {
    /// From 1.
    pub(super) epoch: u32,
    pub(super) score: [f64; 2],
}

/// How far a training is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Place {
    /// Epochs done.
    pub(super) epochs: u32,
    /// Batches done, in all epochs.
    pub(super) batches: u64,
    /// Updates done, those included that an overflow took back.
    pub(super) updates: u64,
    /// Updates that an overflow took back.
    pub(super) skipped: u64,
    /// The factor on the loss, in float16.
    pub(super) loss_scale: Option<LossScale>,
    pub(super) best: Option<Best>,
}

/// The tensors of a state: those of the part, of its optimiser, and the moving average where there is one.
pub(super) struct Tensors<'a> {
    pub(super) parameters: &'a mut Parameters,
    pub(super) optimiser: &'a mut AdamW,
    pub(super) average: Option<&'a mut BTreeMap<String, Tensor>>,
}

/// Writes the state; `identity` says which training it belongs to.
pub(super) fn write(path: &Path, tensors: &Tensors<'_>, place: &Place, identity: &str) -> Result<(), TrainError> {
    let mut all: Vec<(String, &dyn Numbers)> = Vec::new();
    for (slot, tensor) in tensors.parameters.trained() {
        let [first, second] = &tensors.optimiser.moments[&slot.key];
        all.push((format!("w.{}", slot.key), tensor));
        all.push((format!("m.{}", slot.key), first));
        all.push((format!("v.{}", slot.key), second));
    }
    if let Some(average) = &tensors.average {
        all.extend(average.iter().map(|(key, tensor)| (format!("e.{key}"), tensor as &dyn Numbers)));
    }
    write_safetensors(path, &all, &metadata(place, identity))
}

/// Reads the state at `path` into `tensors`.
///
/// # Errors
/// [`TrainError::OtherTraining`] when it belongs to another training, [`TrainError::Malformed`] when a tensor is
/// missing.
pub(super) fn read(path: &Path, tensors: &mut Tensors<'_>, identity: &str) -> Result<Place, TrainError> {
    let mut found: BTreeMap<String, Tensor> = BTreeMap::new();
    let header = read_safetensors(path, |name, view| {
        found.insert(name, tensor_of(view.data(), view.dtype(), &sizes(view.shape())));
        Ok(())
    })?;
    let theirs = header.get("identity").map_or("", String::as_str);
    if let Some(problem) = first_difference(identity, theirs) {
        return Err(TrainError::OtherTraining { path: path.to_owned(), problem });
    }
    let place =
        place_of(&header).ok_or_else(|| TrainError::malformed(path, "does not say how far the training was"))?;
    let mut fill = |name: String, to: &Tensor| match found.remove(&name).filter(|from| from.size() == to.size()) {
        Some(from) => {
            tch::no_grad(|| to.shallow_clone().copy_(&from));
            Ok(())
        }
        None => Err(TrainError::malformed(path, format!("`{name}` is missing or of another shape"))),
    };
    for (slot, tensor) in tensors.parameters.trained() {
        let [first, second] = &tensors.optimiser.moments[&slot.key];
        fill(format!("w.{}", slot.key), tensor)?;
        fill(format!("m.{}", slot.key), first)?;
        fill(format!("v.{}", slot.key), second)?;
    }
    if let Some(average) = &tensors.average {
        average.iter().try_for_each(|(key, tensor)| fill(format!("e.{key}"), tensor))?;
    }
    tensors.optimiser.updates = place.updates - place.skipped;
    Ok(place)
}

fn metadata(place: &Place, identity: &str) -> BTreeMap<String, String> {
    let best = place.best.map(|best| format!("{} {} {}", best.epoch, best.score[0], best.score[1]));
    let entries = [
        ("identity", identity.to_owned()),
        ("epochs", place.epochs.to_string()),
        ("batches", place.batches.to_string()),
        ("updates", place.updates.to_string()),
        ("skipped", place.skipped.to_string()),
        ("loss_scale", place.loss_scale.map(|s| format!("{} {}", s.scale, s.good)).unwrap_or_default()),
        ("best", best.unwrap_or_default()),
    ];
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn place_of(header: &std::collections::HashMap<String, String>) -> Option<Place> {
    let best: Vec<&str> = header.get("best")?.split_whitespace().collect();
    let best = match best[..] {
        [] => None,
        [epoch, first, second] => {
            Some(Best { epoch: epoch.parse().ok()?, score: [first.parse().ok()?, second.parse().ok()?] })
        }
        _ => return None,
    };
    let loss_scale: Vec<&str> = header.get("loss_scale")?.split_whitespace().collect();
    let loss_scale = match loss_scale[..] {
        [] => None,
        [scale, good] => Some(LossScale { scale: scale.parse().ok()?, good: good.parse().ok()? }),
        _ => return None,
    };
    let (updates, skipped) = (header.get("updates")?.parse().ok()?, header.get("skipped")?.parse().ok()?);
    if skipped > updates {
        return None;
    }
    Some(Place {
        epochs: header.get("epochs")?.parse().ok()?,
        batches: header.get("batches")?.parse().ok()?,
        updates,
        skipped,
        loss_scale,
        best,
    })
}

/// The first line in which two identities differ, both sides.
fn first_difference(ours: &str, theirs: &str) -> Option<String> {
    if ours == theirs {
        return None;
    }
    let (mut here, mut there) = (ours.lines(), theirs.lines());
    loop {
        match (here.next(), there.next()) {
            (Some(a), Some(b)) if a == b => {}
            (a, b) => {
                let told = |line: Option<&str>| line.unwrap_or("nothing").to_owned();
                return Some(format!("`{}` now, `{}` when it was begun", told(a), told(b)));
            }
        }
    }
}
