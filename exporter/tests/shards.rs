//! Weights in several files are read as if they lay in one, and held to their index.

mod common;

use common::{Raw, miniature_sizes, model_folder, nodes_and_weights, read_tensors, write_tensors};
use mindeye_config::Exit;
use mindeye_exporter::{ExportError, GraphRequest, export_graph};
use std::path::Path;

const WHOLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const PARTS: [&str; 2] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

/// The miniature backbone in a folder, in two files with an index.
fn split(folder: &Path) -> Vec<Raw> {
    let path = model_folder(&miniature_sizes().backbone, folder, 1);
    let tensors = read_tensors(&path);
    std::fs::remove_file(path).unwrap();
    let halves = [&tensors[..tensors.len() / 2], &tensors[tensors.len() / 2..]];
    let mut map = serde_json::Map::new();
    for (name, half) in PARTS.iter().zip(halves) {
        write_tensors(&folder.join(name), half);
        map.extend(half.iter().map(|tensor| (tensor.name.clone(), (*name).into())));
    }
    let index = serde_json::json!({"metadata": {"total_size": 0}, "weight_map": map});
    std::fs::write(folder.join(INDEX), index.to_string()).unwrap();
    tensors
}

fn export(folder: &Path) -> Result<(), ExportError> {
    let out = folder.join("m.onnx");
    export_graph(&GraphRequest::new("backbone", folder, &out)).map(drop)
}

#[test]
fn two_files_and_one_give_the_same_graph() {
    let folder = tempfile::tempdir().unwrap();
    let tensors = split(folder.path());
    export(folder.path()).unwrap();
    let sharded = nodes_and_weights(&folder.path().join("m.onnx"));
    write_tensors(&folder.path().join(WHOLE), &tensors);
    export(folder.path()).unwrap();
    assert!(nodes_and_weights(&folder.path().join("m.onnx")) == sharded);
}

#[test]
fn files_that_do_not_keep_to_their_index_are_refused() {
    type Spoil = Box<dyn Fn(&Path)>;
    let by = |spoil: fn(&Path)| Box::new(spoil);
    let edit = |from: &'static str, to: &'static str| {
        move |folder: &Path| {
            let path = folder.join(INDEX);
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains(from));
            std::fs::write(path, text.replacen(from, to, 1)).unwrap();
        }
    };
    let cases: [(Spoil, &str); 6] = [
        (by(|folder| std::fs::remove_file(folder.join(PARTS[1])).unwrap()), "holds no `model-00002"),
        (by(|folder| std::fs::write(folder.join(INDEX), "{").unwrap()), "the index is not valid"),
        (Box::new(edit(PARTS[1], "../secret")), "points at `../secret`"),
        (
            Box::new(edit("voxel2clip.lin0.0.bias\"", "voxel2clip.stray\"")),
            "`voxel2clip.lin0.0.bias` is not in the index",
        ),
        (
            Box::new(edit("\"weight_map\":{", "\"weight_map\":{\"a\":\"model-00001-of-00002.safetensors\",")),
            "lacks `a`",
        ),
        (Box::new(edit(PARTS[0], PARTS[1])), "the index says in"),
    ];
    for (spoil, part) in cases {
        let folder = tempfile::tempdir().unwrap();
        split(folder.path());
        spoil(folder.path());
        let error = export(folder.path()).unwrap_err();
        assert_eq!(error.exit(), Exit::Data);
        assert!(error.to_string().contains(part), "{error}");
        assert!(!folder.path().join("m.onnx").exists());
    }
}
