"""Imports kriegeskorte92 and haxby_pymvpa, fits and evaluates ridges with `mindeye-train`, beside the permutation distribution.

    python tests/oracle/_ridge_real_data.py target/release/mindeye-train SHARED_DATA SCRATCH benches/results/ridge-real-data-DATE.json

Folds only change `trials.tsv`; every fit is `mindeye-train calibrate --direct` (alpha by leave-one-image-out inside the training
part), every score is `mindeye-train evaluate`. Left-out predictions of different folds are joined by numpy from the documented
keys of `ridge.safetensors`, which also proves that the format can be read by others. A permutation shuffles which picture
belongs to which trial and fits everything again.

kriegeskorte92: 92 pictures; voxels = coordinates of 8 sessions' similarity matrices, joined; target = MobileNetV2 embedding.
The coordinates were made from all 92 pictures together, so each training row has seen the geometry of the test pictures: only
the distance from the permutation distribution means something. Such coordinates are defined up to a rotation: a random one gives
voxels of like variance, as a brain has; z-scoring the coordinates as stored blows the small ones up to the size of the large ones
and with them the noise, and both are reported.
haxby_pymvpa: one slice, 12 runs of 8 blocks; a beta is the block's mean, 2 volumes later, in percent of the run's rest; target =
category, one-hot; leave one run out, 8-way. A permutation shuffles categories within each run.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
from safetensors.numpy import load_file


def run(program, *arguments):
    subprocess.run([program, *map(str, arguments)], check=True, capture_output=True, text=True)


def write_trials(folder, images, splits, sessions):
    lines = [f"{i}\t{im}\t{sp}\t{se}\trun1" for i, (im, sp, se) in enumerate(zip(images, splits, sessions))]
    (folder / "trials.tsv").write_text("trial\timage\tsplit\tsession\trun\n" + "\n".join(lines) + "\n")


def calibrated_prediction(program, folder, rows):
    """Tokens of `rows` by a fresh fit to the folder's training trials, in numpy from the documented keys."""
    out = folder.parent / "fit"
    shutil.rmtree(out, ignore_errors=True)
    run(program, "calibrate", "--direct", "--data", folder, "--out", out)
    ridge, z = load_file(out / "ridge.safetensors"), load_file(out / "zscore.safetensors")
    voxels = np.load(folder / "voxels.npy")[rows]
    sd = np.where(z["sd"][0] > 0, z["sd"][0], np.inf)
    pattern = ((voxels - z["mean"][0]) / sd)[:, ridge["ridge.voxels"]]
    return ridge["ridge.bias"] + pattern @ ridge["ridge.basis"].T @ ridge["ridge.coefficients"]


def scores(program, folder, predictions, more=()):
    """The report of left-out predictions of all trials, in one pool of all images."""
    tokens = folder.parent / "tokens.npy"
    np.save(tokens, predictions.astype(np.float32))
    out = folder.parent / "report.json"
    run(program, "evaluate", "--predictions", tokens, "--data", folder, "--out", out, *more)
    return json.loads(out.read_text())


def left_out_folds(program, folder, images, sessions, groups, shape):
    """Predictions of every trial by fits without its group."""
    predictions = np.zeros((len(images), shape))
    for group in groups:
        splits = ["train"] * len(images)
        for row in group:
            splits[row] = "test"
        write_trials(folder, images, splits, sessions)
        predictions[group] = calibrated_prediction(program, folder, group)
    return predictions


def kriegeskorte(program, data, scratch, rotated, permutations=20):
    source = np.load(data / "kriegeskorte92/hIT_gram_coordinates.npz")
    voxels = np.concatenate([source[key] for key in source.files if "_s" in key], axis=1)
    if rotated:
        voxels = voxels @ np.linalg.qr(np.random.default_rng(1).standard_normal((voxels.shape[1],) * 2))[0]
    scratch = scratch / f"k92-{rotated}"
    scratch.mkdir()
    names = [f"obj{i:02}" for i in range(92)]
    archive, targets = scratch / "k92.npz", scratch / "k92_targets.npy"
    np.savez_compressed(archive, voxels=voxels, image=np.array(names), session=np.array(["all"] * 92), run=np.array(["run1"] * 92))
    np.save(targets, source["mobilenetv2_embedding"].reshape(92, 1, 1280))
    folder = scratch / "k92"
    run(program, "import", "--from", "npz", "--source", archive, "--targets", targets, "--out", folder)
    rng = np.random.default_rng(0)
    groups = np.array_split(rng.permutation(92), 23)

    def one(order):
        images = [names[i] for i in order]
        predictions = left_out_folds(program, folder, images, ["all"] * 92, groups, 1280)
        write_trials(folder, images, ["test"] * 92, ["all"] * 92)
        report = scores(program, folder, predictions, ("--pool", "92"))
        single = report["single_trial"]
        return {"two_way_centred": single["ranks"]["centred"]["two_way"], "two_way_raw": single["ranks"]["raw"]["two_way"],
                "top5_centred": single["ranks"]["centred"]["top5"],
                "image_retrieval_centred": single["image_retrieval"]["centred"]["top1"],
                "brain_retrieval_centred": single["brain_retrieval"]["centred"]["top1"]}

    observed = one(np.arange(92))
    null = [one(rng.permutation(92)) for _ in range(permutations)]
    return {"pictures": 92, "voxels": int(voxels.shape[1]), "folds": "23 of 4 pictures", "observed": observed,
            "reference": "kernel ridge outside this project, leave one picture out: two-way 0.743, top-5 0.12; shuffled 0.376, largest 0.437 of 20",
            "permutation": {key: {"mean": float(np.mean([n[key] for n in null])), "largest": float(max(n[key] for n in null))}
                            for key in ("two_way_centred", "two_way_raw", "top5_centred")},
            "permutations": permutations,
            "p_two_way": (1 + sum(n["two_way_centred"] >= observed["two_way_centred"] for n in null)) / (1 + permutations)}


def haxby_blocks(data):
    """Betas [blocks, voxels], category and run of each block."""
    folder = data / "haxby_pymvpa"
    bold = np.asarray(nibabel.load(folder / "bold.nii.gz").dataobj, dtype=np.float64)
    mask = np.asarray(nibabel.load(folder / "mask.nii.gz").dataobj).reshape(bold.shape[:3]) > 0
    label, chunk = zip(*(line.split() for line in (folder / "attributes_literal.txt").read_text().split("\n") if line.strip()))
    label, chunk, series = np.array(label), np.array(chunk, dtype=int), bold[mask].T
    betas, categories, runs = [], [], []
    for number in np.unique(chunk):
        inside = np.flatnonzero(chunk == number)
        words = np.concatenate([["rest"] * 2, label[inside][:-2]])
        rest, mean = series[inside][words == "rest"].mean(0), series[inside].mean(0)
        for category in sorted(set(words) - {"rest"}):
            betas.append(100 * (series[inside][words == category].mean(0) - rest) / np.where(mean > 0, mean, np.inf))
            categories.append(category)
            runs.append(number)
    return np.array(betas), np.array(categories), np.array(runs)


def haxby(program, data, scratch, permutations=20):
    betas, categories, runs = haxby_blocks(data)
    kinds = sorted(set(categories))
    count = len(betas)
    names = [f"block{i:03}" for i in range(count)]
    archive, targets = scratch / "haxby.npz", scratch / "haxby_targets.npy"
    np.savez_compressed(archive, voxels=betas, image=np.array(names), session=np.array([f"run{r}" for r in runs]),
                        run=np.array([f"run{r}" for r in runs]))
    np.save(targets, np.eye(len(kinds))[[kinds.index(c) for c in categories]].astype(np.float32)[:, None, :])
    folder = scratch / "haxby"
    run(program, "import", "--from", "npz", "--source", archive, "--targets", targets, "--out", folder)
    rng = np.random.default_rng(0)

    def one(category):
        np.save(folder / "targets.npy", np.eye(len(kinds))[[kinds.index(c) for c in category]].astype(np.float32)[:, None, :])
        right = []
        for number in np.unique(runs):
            splits = ["test" if r == number else "train" for r in runs]
            write_trials(folder, names, splits, [f"run{r}" for r in runs])
            out = folder.parent / "fit"
            shutil.rmtree(out, ignore_errors=True)
            run(program, "calibrate", "--direct", "--data", folder, "--out", out)
            report = folder.parent / "report.json"
            run(program, "evaluate", "--checkpoint", out, "--data", folder, "--out", report, "--permutations", "1")
            right.append(json.loads(report.read_text())["single_trial"]["image_retrieval"]["centred"]["top1"]["value"])
        return right

    observed = one(categories)

    def shuffled():
        category = categories.copy()
        for number in np.unique(runs):
            category[runs == number] = rng.permutation(category[runs == number])
        return float(np.mean(one(category)))

    null = [shuffled() for _ in range(permutations)]
    accuracy = float(np.mean(observed))
    return {"blocks": count, "voxels": int(betas.shape[1]), "chance": 1 / len(kinds), "leave_one_run_out_8_way": accuracy,
            "by_run": observed, "reference": "ridge outside this project, leave one run out: 0.677 (its betas and labels may differ in detail)",
            "permutation": {"mean": float(np.mean(null)), "largest": max(null)}, "permutations": permutations,
            "p": (1 + sum(n >= accuracy for n in null)) / (1 + permutations)}


def main():
    program, data, scratch, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
    scratch.mkdir(parents=True)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    result = {"what": "ridge on real data, beside the permutation distribution", "how": __doc__.split("\n\n", 2)[2].replace("\n", " ").strip(),
              "date": time.strftime("%Y-%m-%d"), "commit": commit,
              "haxby_pymvpa": haxby(program, data, scratch), "kriegeskorte92": kriegeskorte(program, data, scratch, rotated=True),
              "kriegeskorte92, coordinates as stored": kriegeskorte(program, data, scratch, rotated=False)}
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
