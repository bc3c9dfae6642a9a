//! Every source becomes the same folder: files of h5py, nibabel and numpy (`tests/oracle/import_fixture.py`), and our own
//! derivatives; bad input is refused by name and leaves nothing behind.

mod support;

use mindeye_trainer::training_folder::{Split, TrainingFolder, TrialsUsed};
use std::path::{Path, PathBuf};
use support::{fails, fixtures, succeeds};

fn source(name: &str) -> String {
    fixtures().join("import").join(name).display().to_string()
}

fn import(out: &Path, arguments: &[&str]) -> TrainingFolder {
    let out_text = out.display().to_string();
    succeeds(&[&["import", "--out", &out_text], arguments].concat());
    TrainingFolder::open(out).unwrap()
}

#[test]
fn nsd_is_read_as_h5py_wrote_it() {
    let home = tempfile::tempdir().unwrap();
    let folder = import(&home.path().join("out"), &["--from", "nsd", "--source", &source("nsd"), "--stimuli"]);
    // The mask of the fixture: x 1..4, y 1..3, all z, of a grid 5 x 4 x 3.
    let linear: Vec<usize> = (0..60).filter(|i| (1..4).contains(&(i % 5)) && (1..3).contains(&(i / 5 % 4))).collect();
    assert_eq!(folder.voxels().dim(), (12, 18));
    for (row, betas) in folder.voxels().rows().into_iter().enumerate() {
        let (session, trial) = (1 + row / 6, row % 6);
        for (beta, linear) in betas.iter().zip(&linear) {
            let expected = (3 * (1000 * session + 60 * trial + linear)) as f32 / 300.0;
            assert_eq!(*beta, expected, "row {row}, voxel {linear}");
        }
    }
    let trial = &folder.trials()[7];
    // Session 2, trial 1: picture 1 + (10 + 1) mod 9 = 3, one of the shared ones.
    assert_eq!((trial.image.as_str(), trial.split, trial.session.as_str()), ("nsd-00003", Split::Test, "ses-nsd02"));
    assert!(folder.trials().iter().all(|t| (t.split == Split::Test) == (t.image.as_str() <= "nsd-00003")));
    let picture = image::open(folder.picture("nsd-00004").unwrap()).unwrap().to_rgb8();
    assert_eq!(
        (picture.dimensions(), picture.get_pixel(0, 0).0, picture.get_pixel(3, 3).0),
        ((8, 6), [255, 0, 7], [60; 3])
    );
    assert!(folder.facts().provenance.notes[0].contains("[3]"), "session 3 has no betas");
    assert_eq!(folder.facts().beta_unit, "percent-signal-change");
}

#[test]
fn a_numpy_archive_is_read_with_its_own_split_or_another() {
    let home = tempfile::tempdir().unwrap();
    let npz = source("data.npz");
    let folder = import(&home.path().join("own"), &["--from", "npz", "--source", &npz]);
    assert_eq!(folder.images(), ["b", "cat", "face", "house", "shoe"]);
    assert_eq!(folder.image_of(), [2, 2, 3, 1, 1, 4, 2, 0]);
    assert_eq!(folder.rows(Split::Test).unwrap(), [2]);
    assert_eq!(folder.rows(Split::Validation).unwrap(), [5]);
    assert_eq!(folder.voxels().row(3).to_vec(), [9.0, 10.0, 11.0]);

    let table = home.path().join("split.tsv");
    std::fs::write(&table, "image\tsplit\nb\ttest\ncat\ttrain\nface\ttrain\nhouse\ttrain\nshoe\ttest\n").unwrap();
    let table = table.display().to_string();
    let folder = import(&home.path().join("file"), &["--from", "npz", "--source", &npz, "--split", &table]);
    assert_eq!(folder.rows(Split::Test).unwrap(), [5, 7]);
    assert_eq!(folder.facts().provenance.split, "file");
}

#[test]
fn shards_drop_padded_repeats_and_say_that_their_zscore_saw_everything() {
    let home = tempfile::tempdir().unwrap();
    let (train, test) = (source("shards/train/train_subj01_0.tar"), source("shards/test/test_subj01_0.tar"));
    let folder = import(&home.path().join("out"), &["--from", "webdataset", "--source", &train, &test]);
    assert_eq!(folder.voxels().dim(), (8, 4), "3 + 2 (one padded) + 3 rows");
    assert_eq!(folder.voxels().row(3).to_vec(), [10.0, 10.25, 10.5, 10.75]);
    assert_eq!(folder.images(), ["nsd-00008", "nsd-00042", "nsd-00100"]);
    assert_eq!(folder.rows(Split::Test).unwrap(), [5, 6, 7]);
    assert_eq!(folder.facts().provenance.normalised_with, TrialsUsed::All);
    let leaks = mindeye_trainer::leakage::check_folder(&folder);
    assert!(
        leaks
            .require_none(false)
            .unwrap_err()
            .to_string()
            .contains("the normalisation of dataset.toml saw test trials")
    );
    assert!(leaks.require_none(true).is_ok());
}

/// A derivative folder as `mindeye-preprocess run` writes it, with its events.
fn derivative(home: &Path, name: &str, mask: &str) -> PathBuf {
    let folder = home.join(name);
    std::fs::create_dir(&folder).unwrap();
    let events = "onset\tduration\ttrial_type\tstim_file\n0\t3\trest\tn/a\n3\t2\tface\tpictures/f1.jpg\n9\t2\thouse\tpictures/h1.jpg\n";
    std::fs::write(folder.join("events.tsv"), events).unwrap();
    let events = mindeye_config::sha256_of_bytes(events.as_bytes());
    let estimator = r#"{"beta": "window", "hrf": "none", "drift": "none", "confounds": "none", "noise": "ordinary",
        "smoothing_fwhm_mm": 0.0, "slice_reference": 0.5, "repeats_averaged": 1, "unit": "percent-signal-change",
        "zscore": "frozen-per-lag", "revision_lags_s": [7.5]}"#;
    let sidecar = format!(
        r#"{{"unit": "percent-signal-change", "estimator": {estimator}, "inputs": [
        {{"role": "bold", "name": "sub-01_ses-02_task-x_run-3_bold.nii.gz", "sha256": "00"}},
        {{"role": "events", "name": "e.tsv", "sha256": "{events}"}},
        {{"role": "mask", "name": "m.nii.gz", "sha256": "{mask}"}}]}}"#
    );
    std::fs::write(folder.join("betas.json"), sidecar).unwrap();
    std::fs::write(folder.join("betas.tsv"), "trial\tonset_s\n0\t3\n1\t9\n").unwrap();
    ndarray_npy::write_npy(folder.join("betas.npy"), &ndarray::array![[1.0_f32, 2.0], [3.0, 4.0]]).unwrap();
    folder
}

#[test]
fn our_own_derivatives_keep_estimator_session_and_what_was_shown() {
    let home = tempfile::tempdir().unwrap();
    let one = derivative(home.path(), "one", "aa").display().to_string();
    let table = home.path().join("split.tsv");
    std::fs::write(&table, "image\tsplit\nf1\ttrain\nh1\ttest\n").unwrap();
    let table = table.display().to_string();
    let folder = import(&home.path().join("out"), &["--from", "bids", "--source", &one, "--split", &table]);
    let trial = &folder.trials()[0];
    assert_eq!((trial.image.as_str(), trial.session.as_str(), trial.run.as_str()), ("f1", "02", "3"));
    assert_eq!(folder.facts().lag_s(), 7.5);
    assert_eq!(folder.facts().provenance.normalised_with, TrialsUsed::None);

    let other = derivative(home.path(), "other", "bb").display().to_string();
    let out = home.path().join("none").display().to_string();
    let both = ["import", "--from", "bids", "--source", &one, &other, "--split", &table, "--out", &out];
    assert!(fails(65, &both).contains("was made with mask Some(\"bb\"), the first source with Some(\"aa\")"));
    std::fs::write(Path::new(&one).join("events.tsv"), "onset\tduration\timage\n3\t2\tx\n9\t2\ty\n").unwrap();
    let changed = ["import", "--from", "bids", "--source", &one, "--out", &out];
    assert!(fails(65, &changed).contains("the betas were made with e.tsv of sha256"));
    assert!(!Path::new(&out).exists());
}

#[test]
fn bad_sources_are_refused_by_name_and_leave_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("out").display().to_string();
    let not_npz = home.path().join("not.npz");
    std::fs::write(&not_npz, b"no archive").unwrap();
    let (not_npz, npz, shard) =
        (not_npz.display().to_string(), source("data.npz"), source("shards/train/train_subj01_0.tar"));
    let base = ["import", "--out", out.as_str(), "--from"];
    let cases: [(u8, &[&str], &str); 6] = [
        (64, &["npz", "--source", "/no/such/file.npz"], "--source /no/such/file.npz: does not exist"),
        (65, &["npz", "--source", &not_npz], "is no npz archive"),
        (65, &["npz", "--source", &shard], "is no npz archive"),
        (65, &["webdataset", "--source", &npz], "neither the shard nor its folder is named after train, val or test"),
        (65, &["nsd", "--source", &source("nsd"), "--subject", "2"], "responses.tsv: no such file"),
        (64, &["npz", "--source", &npz, "--test-share", "1.5"], "--test-share 1.5: must lie between 0 and 1"),
    ];
    for (status, arguments, expected) in cases {
        let message = fails(status, &[&base, arguments].concat());
        assert!(message.contains(expected), "{message} should say {expected}");
    }
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["not.npz"]);
}
