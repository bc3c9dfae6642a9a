//! Pieces that join to the whole, and refusals that name the place.

use super::*;
use crate::failure::{UNAVAILABLE, USAGE};
use std::process::Command;

#[test]
fn a_machine_without_a_gpu_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let failure = conformance(&Workspace::within(folder.path()), &folder.path().join("nvidiactl")).unwrap_err();
    assert_eq!(failure.status, UNAVAILABLE);
    assert!(failure.message.contains("nvidiactl") && failure.message.contains("gpu pack --out"), "{}", failure.message);
}

#[test]
fn pieces_join_to_the_archive_and_their_digests_are_those_that_sha256sum_checks() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("parcel.tar.xz");
    let bytes: Vec<u8> = (0..2500_u32).map(|i| ((i * i) >> 3) as u8).collect();
    fs::write(&archive, &bytes).unwrap();
    assert_eq!(cut(&archive, folder.path(), 1000).unwrap(), 3);
    let joined: Vec<u8> = (0..3).flat_map(|i| fs::read(folder.path().join(format!("piece-{i:03}"))).unwrap()).collect();
    assert_eq!(joined, bytes);
    let mut check = Command::new("sha256sum");
    assert!(check.args(["--check", "--quiet", "SHA256SUMS"]).current_dir(folder.path()).status().unwrap().success());
}

#[test]
fn the_script_refuses_a_broken_piece_and_a_machine_without_a_gpu() {
    let folder = tempfile::tempdir().unwrap();
    let here = |name: &str| folder.path().join(name);
    fs::write(here("piece-000"), "whole").unwrap();
    let digest = sha256(&mut &b"whole"[..]).unwrap();
    fs::write(here("SHA256SUMS"), format!("{digest}  piece-000\n")).unwrap();
    fs::write(here("run.sh"), RUN).unwrap();
    let status = || {
        let mut script = Command::new("sh");
        let output = script.arg("run.sh").env("DEVICE", here("nvidiactl")).current_dir(folder.path()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = status();
    assert!(code == Some(69) && said.contains("no NVIDIA GPU here"), "{code:?} {said}");
    fs::write(here("piece-000"), "brokn").unwrap();
    fs::write(here("nvidiactl"), "").unwrap();
    let (code, said) = status();
    assert!(code == Some(65) && said.contains("piece-000"), "{code:?} {said}");
}

#[test]
fn a_parcel_does_not_replace_a_folder_nor_take_what_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = Workspace::within(folder.path());
    let pack = |out: &Path, add: &[&str]| {
        let pack = Pack {
            out: out.to_path_buf(),
            piece_mib: 40,
            only_capability: None,
            add: add.iter().map(PathBuf::from).collect(),
        };
        make_parcel(&workspace, &pack).unwrap_err()
    };
    let cases =
        [(pack(folder.path(), &[]), "exists already"), (pack(&folder.path().join("p"), &["/no/such"]), "/no/such")];
    for (failure, part) in cases {
        assert_eq!(failure.status, USAGE);
        assert!(failure.message.contains(part), "{}", failure.message);
    }
}

#[test]
fn the_tests_program_is_found_among_cargos_messages() {
    let messages = "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"mindeye_engine\"},\"executable\":null}\n\
        no json\n{\"target\":{\"name\":\"gpu\"},\"executable\":\"/t/gpu-1\"}\n";
    assert_eq!(executable(messages), Some(PathBuf::from("/t/gpu-1")));
    assert_eq!(executable("{}"), None);
}
