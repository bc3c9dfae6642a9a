//! A participant is the same whatever is asked first, and its errors are those that the ideal observer believes in.

use mindeye_participants::betas::BetaSource;
use mindeye_participants::bold::BoldRun;
use mindeye_participants::parameters::{Head, Mixture, names};
use mindeye_participants::picture::{Collection, PictureId};
use mindeye_participants::schedule::{RUNS, TRIALS};
use mindeye_participants::{Anatomy, Area, Participant, REFERENCE_PICTURES};
use std::sync::{Arc, OnceLock};

fn participant() -> Arc<Participant> {
    static ONE: OnceLock<Arc<Participant>> = OnceLock::new();
    ONE.get_or_init(|| Arc::new(Participant::built_in("sub-01").unwrap())).clone()
}

#[test]
fn six_heads_differ_and_each_has_every_area() {
    let mut masks = Vec::new();
    for name in names() {
        let head = Head::built_in(name).unwrap();
        let anatomy = Anatomy::new(&head).unwrap();
        assert_eq!(anatomy.mask().len(), head.voxels, "{name}");
        for area in Area::ALL {
            let count = anatomy.sites().iter().filter(|site| site.area == area).count();
            assert!(count >= 40, "{name}: {count} voxels of {area:?}");
        }
        masks.push(anatomy.mask().voxels().to_vec());
    }
    masks.sort();
    masks.dedup();
    assert_eq!(masks.len(), 6);
}

#[test]
fn unknown_participants_and_small_ribbons_are_refused_with_both_sides() {
    let unknown = Head::built_in("sub-99").unwrap_err().to_string();
    assert!(unknown.contains("`sub-99` is not built in; there are sub-01,"), "{unknown}");
    let head = Head { voxels: 90_000, ..Head::built_in("sub-01").unwrap() };
    let small = Anatomy::new(&head).err().unwrap().to_string();
    assert!(small.contains("its participant wants 90000"), "{small}");
}

#[test]
fn responses_are_standardised_and_neighbours_are_alike_more_than_strangers() {
    let participant = participant();
    let reference = participant.reference();
    assert_eq!(reference.dim(), (REFERENCE_PICTURES as usize, 4000));
    for voxel in [0, 999, 3999] {
        let column = reference.column(voxel);
        let (mean, sd) = (column.mean().unwrap(), column.std(0.0));
        // 1e-4: sums of some hundred f32.
        assert!(mean.abs() < 1e-4 && (sd - 1.0).abs() < 1e-4, "voxel {voxel}: {mean}, {sd}");
    }
    let alike =
        |u: usize, v: usize| f64::from(reference.column(u).dot(&reference.column(v))) / f64::from(REFERENCE_PICTURES);
    let mean = |of: &dyn Fn(usize) -> usize| (0..4000).step_by(40).map(|v| alike(v, of(v))).sum::<f64>() / 100.0;
    let (near, far) = (mean(&|v| participant.partner()[v] as usize), mean(&|v| (v + 2000) % 4000));
    assert!(near > far + 0.1, "neighbours {near}, strangers {far}");
}

#[test]
fn a_run_of_betas_does_not_depend_on_what_was_asked_before() {
    let participant = participant();
    let source = BetaSource::new(&participant);
    let response = |picture: PictureId| vec![picture.number as f32 / 1e4; 4000];
    let alone = source.run(3, 2, &response);
    let _ = source.run(0, 0, &response);
    assert_eq!(alone, BetaSource::new(&participant).run(3, 2, &response));
    assert_ne!(alone, source.run(3, 3, &response));
}

#[test]
fn errors_of_betas_have_the_covariance_that_the_observer_believes_in() {
    let participant = participant();
    let source = BetaSource::new(&participant);
    let voxels = [10, 11, 500, 2500];
    let silent = vec![0.0; 4000];
    let mean = participant.mixture().trial.mean as f32;
    let mut errors: Vec<[f64; 4]> = Vec::new();
    for (session, run) in (0..5).flat_map(|session| (0..RUNS).map(move |run| (session, run))) {
        let (betas, day) = (source.run(session, run, &|_| silent.clone()), participant.day_state(session));
        for (trial, shown) in participant.schedule().run(session, run).iter().enumerate() {
            let gain = (participant.trial_state(session, run, trial, *shown).gain * day.gain) as f32;
            let expected = |v: usize| participant.amplitude()[v] * gain * mean + day.offset[v];
            errors.push(voxels.map(|v| f64::from(betas[[trial, v]] - expected(v))));
        }
    }
    let signal = |u: usize, v: usize| {
        let reference = participant.reference();
        let dot = f64::from(reference.column(u).dot(&reference.column(v))) / f64::from(REFERENCE_PICTURES);
        let amplitude = f64::from(participant.amplitude()[u]) * f64::from(participant.amplitude()[v]);
        participant.mixture().trial.subspace.powi(2) * amplitude * dot
    };
    let believed = |i: usize, j: usize| signal(voxels[i], voxels[j]) + source.noise_covariance(voxels[i], voxels[j]);
    for (i, j) in (0..4).flat_map(|i| (i..4).map(move |j| (i, j))) {
        let found = errors.iter().map(|e| e[i] * e[j]).sum::<f64>() / errors.len() as f64;
        let scale = (believed(i, i) * believed(j, j)).sqrt();
        // A product moment over 3,750 trials errs by up to 0.023 of the scale; successive trials are correlated and mixtures
        // of eight pictures have heavier tails: five of 0.03.
        assert!((found - believed(i, j)).abs() < 0.15 * scale, "{i}, {j}: {found} for {}", believed(i, j));
    }
    assert_eq!(errors.len(), 5 * RUNS * TRIALS);
}

#[test]
fn volumes_are_the_same_in_any_order_and_the_visual_cortex_answers() {
    let mut run = BoldRun::new(participant(), 0, 0);
    let first = run.volume(3);
    let later = run.volume(9);
    assert_eq!(run.volume(3), first, "asked again after a later one");
    assert_eq!(BoldRun::new(participant(), 0, 0).volume(9), later, "asked alone");
    let onset_s = run.trials()[0].0.onset_s;
    let heights = |t: f64| run.response_heights(t).map_or(0.0, |h| h.iter().sum::<f32>() / h.len() as f32);
    assert_eq!(heights(-1.0), 0.0);
    // SPM's response to 3 s peaks 6.5 s after onset; single voxels are up to a fifth earlier or later.
    assert!(heights(6.5) > 0.9 && onset_s > 10.0, "{}", heights(6.5));
}

#[test]
fn another_day_the_head_lies_elsewhere_and_noise_differs() {
    let (day, next) = (BoldRun::new(participant(), 0, 0), BoldRun::new(participant(), 1, 0));
    assert_eq!(day.motion(0).0, [0.0; 6]);
    assert!(next.motion(0).0.iter().any(|m| m.abs() > 1e-3), "{:?}", next.motion(0));
    assert_ne!(day.trials()[0].1.picture.collection, Collection::Novel);
}

#[test]
fn a_mixture_out_of_range_names_its_key() {
    use mindeye_config::Checked;
    let mut mixture = Mixture::built_in().unwrap();
    mixture.trial.lapse_share = 1.5;
    let complaint = mixture.check().unwrap_err().to_string();
    assert_eq!(complaint, "key `trial.lapse_share`: must be below 1, found 1.5");
}

#[test]
fn a_run_on_disk_is_read_back_as_the_scanner_would_send_it() {
    use mindeye_participants::bids::write_run;
    let folder = tempfile::tempdir().unwrap();
    let mut scan = BoldRun::new(participant(), 1, 4);
    let path = write_run(folder.path(), "sub-01", 1, 4, &mut scan).unwrap();
    let bold = mindeye_preprocess::read_bold(&path).unwrap();
    assert_eq!(bold.volumes.len() as u32, scan.volume_count());
    let sent: Vec<u8> = scan.volume(7).iter().flat_map(|voxel| voxel.to_le_bytes()).collect();
    assert_eq!(bold.volumes[7], sent);
    let events = folder.path().join("sub-01/ses-02/func/sub-01_ses-02_task-images_run-05_events.tsv");
    let table = mindeye_preprocess::bids::Table::read(&events).unwrap();
    let rows = mindeye_preprocess::bids::event_rows(&table).unwrap();
    let trials: Vec<_> = scan.trials().into_iter().map(|(event, shown)| (event, shown.picture.to_string())).collect();
    let read: Vec<_> = rows.iter().map(|r| (r.event, r.row.cell("image").unwrap().to_owned())).collect();
    assert_eq!(read, trials);
    let mask = folder.path().join("derivatives/truth/sub-01/mask.nii.gz");
    assert_eq!(mindeye_preprocess::Mask::read(&mask).unwrap(), *scan.participant().mask());
}
