//! One network of a bundle on its way to disk: its graph in `networks/`, its row in the manifest.

use super::golden::tolerance;
use super::sizes::UNET_BATCH;
use crate::ExportError;
use crate::networks::{Dialect, Network, graph_in};
use crate::onnx::{INLINE_LIMIT, Model};
use crate::staging::{make_folder, write};
use crate::weights::StateDict;
use mindeye_config::{NetworkEntry, Precision, Sha256};
use serde::Serialize;
use std::path::Path;

/// Examples that a bundle's graph of `network` takes at once.
pub(super) fn bundle_batch(network: &dyn Network) -> usize {
    if network.name() == "unet" { UNET_BATCH } else { 1 }
}

/// Writes the graph of `network` into `folder/networks`, in the portable dialect. `origin` names the weights in messages.
///
/// # Errors
/// Shapes that do not go together, or what the file system says.
pub(super) fn write_network(
    folder: &Path,
    network: &dyn Network,
    state: &StateDict<'_>,
    origin: (&Path, Sha256),
    precision: Precision,
) -> Result<NetworkEntry, ExportError> {
    let batch = bundle_batch(network);
    let arithmetic = network.islands().arithmetic(precision);
    let model = model_in(Dialect::Portable, network, state, origin, precision)?;
    let file = file_name(network);
    model.write(&make_folder(folder, "networks")?, &file, INLINE_LIMIT)?;
    Ok(NetworkEntry {
        name: network.name().into(),
        path: format!("networks/{file}"),
        precision: arithmetic,
        tolerance: tolerance(arithmetic),
        inputs: network.inputs(batch),
        outputs: network.outputs(batch),
    })
}

/// Where `dialect` is another than the portable one and draws this network differently, writes its graph over the portable
/// one, which has been judged by then: no CPU runs the other.
///
/// # Errors
/// As [`write_network`].
pub(super) fn redraw(
    dialect: Dialect,
    folder: &Path,
    network: &dyn Network,
    state: &StateDict<'_>,
    origin: (&Path, Sha256),
    precision: Precision,
) -> Result<(), ExportError> {
    if dialect == Dialect::Portable {
        return Ok(());
    }
    let model = model_in(dialect, network, state, origin, precision)?;
    if model.is_portable() {
        return Ok(());
    }
    model.write(&folder.join("networks"), &file_name(network), INLINE_LIMIT).map(drop)
}

fn model_in<'w>(
    dialect: Dialect,
    network: &dyn Network,
    state: &StateDict<'w>,
    (origin, weights_sha256): (&Path, Sha256),
    precision: Precision,
) -> Result<Model<'w>, ExportError> {
    let source = |source| ExportError::Graph { path: origin.to_path_buf(), source };
    let graph = graph_in(dialect, network, state, bundle_batch(network), precision).map_err(source)?;
    Ok(Model::new(graph, network, state, precision, weights_sha256))
}

fn file_name(network: &dyn Network) -> String {
    format!("{}.onnx", network.name())
}

/// Writes `value` as `folder/name`.
pub(super) fn write_toml(folder: &Path, name: &str, value: &impl Serialize) -> Result<(), ExportError> {
    let text = toml::to_string(value).expect("configuration types are tables of plain values, which TOML can hold");
    write(folder, name, text)
}
