"""Trains MindEye variants on kriegeskorte92 and haxby_pymvpa with `mindeye-train fit`, beside ridge and the permutation distribution.

    python tests/oracle/_fit_real_data.py target/debug/mindeye-train SHARED_DATA SCRATCH benches/results/fit-real-data-DATE.json [STUDY...]

(a build with the feature `libtorch`; numpy, nibabel, safetensors.) Every model is made by the program: `fit --start mindeye1`,
`fit --start ridge` (three seeds each), `calibrate --direct`; every score is `evaluate`'s. A fold only changes `trials.tsv`: test
images are in no training and no choice; validation images choose epoch and gate and are withheld from the ridge named `ridge` too,
while `ridge_all` gets them (it needs none). Two probe runs before the study showed
the test scores of one fold of each data set; kriegeskorte92's target normalisation, the prior's weight, epochs and batch size
were changed after them, everything else was compared on validation columns. Means over folds weigh images
alike; intervals and paired differences draw images anew, 2,000 times, after averaging over seeds. A permutation shuffles which picture
belongs to which trial before the split and fits everything again, seed 1.

kriegeskorte92: 92 pictures, voxels = the rotated coordinates of `_ridge_real_data.py`, which were made from all pictures together:
only the distance from the permutation distribution means something. Target = MobileNetV2 embedding through a fixed random orthonormal
map to 128 dimensions, to unit length (the prior of so wide a token would have more weights than there are numbers in the data). 8 folds, each a pool.
haxby_pymvpa: 96 blocks, target = category, one-hot; leave one run out, 8-way, the next run validates. A permutation shuffles categories
within each run, and leaves out runs 9 to 12 only.
"""

import importlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
ridge_data = importlib.import_module("_ridge_real_data")

SEEDS = (1, 2, 3)
PERMUTATIONS = 19
MODEL = """voxels = 1
hidden = 64
blocks = 2
tokens = 1
token_dim = {dim}
projector_hidden = 128
prior_depth = 1
prior_heads = 2
prior_head_dim = 16
low_level_hidden = 16
low_level_map_channels = 6
low_level_map_side = 2
upsampler_channels = [4, 8, 12]
vae_channels = [4, 8]
vae_layers_per_block = 1
norm_groups = 2
"""
# The prior's weight is the released code's for one token. Categories repeat within a batch, where BiMixCo would take them for
# negatives: haxby is trained with SoftCLIP alone.
TRAINING = """epochs = 60
batch = 16
[optimiser]
learning_rate = 1e-3
[contrastive]
mixco_share = {mixco}
[prior]
weight = 0.03
"""
# Permutations end when this many seconds are spent on a data set; the result says how many there were.
LIMIT_S = 2400
METRICS = ("two_way_centred", "two_way_raw", "image_retrieval_centred", "brain_retrieval_centred")


def run(program, *arguments):
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, f"{arguments}: {done.stderr}"


def write_trials(folder, names, splits, sessions):
    lines = [f"{i}\t{im}\t{sp}\t{se}\trun1" for i, (im, sp, se) in enumerate(zip(names, splits, sessions))]
    (folder / "trials.tsv").write_text("trial\timage\tsplit\tsession\trun\n" + "\n".join(lines) + "\n")


def scores(report):
    """Top-1 of each image, and two-way over the fold's pool."""
    single = report["single_trial"]
    return {"two_way_centred": single["ranks"]["centred"]["two_way"], "two_way_raw": single["ranks"]["raw"]["two_way"],
            "image_retrieval_centred": single["image_retrieval"]["centred"]["per_image"],
            "brain_retrieval_centred": single["brain_retrieval"]["centred"]["per_image"]}


def evaluate(program, folder, checkpoints, more=()):
    out = folder.parent / "report.json"
    named = [part for checkpoint in checkpoints for part in ("--checkpoint", checkpoint)]
    run(program, "evaluate", *named, "--data", folder, "--out", out, "--permutations", 1, *more)
    return scores(json.loads(out.read_text()))


def one_fold(program, folder, seeds):
    """Scores of every model on the test trials of `folder`."""
    home = folder.parent
    found = {}
    ridge = home / "ridge"
    shutil.rmtree(ridge, ignore_errors=True)
    run(program, "calibrate", "--direct", "--data", folder, "--out", ridge)
    found["ridge"] = evaluate(program, folder, [ridge])
    table = folder / "trials.tsv"
    text = table.read_text()
    table.write_text(text.replace("\tvalidation\t", "\ttrain\t"))
    shutil.rmtree(ridge)
    run(program, "calibrate", "--direct", "--data", folder, "--out", ridge)
    found["ridge_all"] = evaluate(program, folder, [ridge])
    table.write_text(text)
    for start in ("mindeye1", "ridge"):
        checkpoints = [home / f"{start}-{seed}" for seed in seeds]
        for checkpoint, seed in zip(checkpoints, seeds):
            shutil.rmtree(checkpoint, ignore_errors=True)
            run(program, "fit", "--start", start, "--data", folder, "--model", home / "model.toml", "--training", home / "training.toml",
                "--seed", seed, "--out", checkpoint)
        for tokens in ("projector", "backbone"):
            each = [evaluate(program, folder, [checkpoint], ("--tokens", tokens)) for checkpoint in checkpoints]
            found[f"fit --start {start}, {tokens} tokens"] = each
    return found


def joined(folds, model, metric):
    """Value of each image (or of each fold, as many times as it has images), averaged over seeds; and the mean of each seed."""
    per_seed = []
    seeds = len(folds[0][model]) if isinstance(folds[0][model], list) else 1
    for seed in range(seeds):
        values = []
        for fold in folds:
            score = fold[model][seed] if isinstance(fold[model], list) else fold[model]
            images = len(score["image_retrieval_centred"])
            value = score[metric]
            values += [value[image] for image in sorted(value)] if isinstance(value, dict) else [value] * images
        per_seed.append(values)
    return np.array(per_seed)


def interval(values, rng):
    means = np.sort([values[rng.integers(0, len(values), len(values))].mean() for _ in range(2000)])
    return {"value": float(values.mean()), "low": float(means[50]), "high": float(means[1949])}


def summary(folds, null, rng):
    """Every model beside its permutation distribution; paired differences to the ridge of the same trials."""
    result = {}
    for model in folds[0]:
        result[model] = {}
        for metric in METRICS:
            values = joined(folds, model, metric)
            entry = interval(values.mean(0), rng)
            if len(values) > 1:
                entry["by_seed"] = [float(v) for v in values.mean(1)]
                entry["sd_over_seeds"] = float(values.mean(1).std(ddof=1))
            if metric.endswith("retrieval_centred") and not model.startswith("ridge"):
                entry["minus_ridge"] = interval(values.mean(0) - joined(folds, "ridge", metric).mean(0), rng)
                entry["minus_ridge_all"] = interval(values.mean(0) - joined(folds, "ridge_all", metric).mean(0), rng)
            result[model][metric] = entry
    for model in null["draws"][0] if null["draws"] else ():
        for metric in METRICS:
            drawn = [draw[model][metric] for draw in null["draws"]]
            observed = null["observed"][model][metric]
            result[model][metric]["permutation"] = {
                "observed_on_the_same_folds_seed_1": observed, "mean": float(np.mean(drawn)), "largest": float(max(drawn)),
                "p": (1 + sum(d >= observed for d in drawn)) / (1 + len(drawn)), "permutations": len(drawn)}
    return result


def means(folds):
    return {model: {metric: float(joined(folds, model, metric)[0].mean()) for metric in METRICS} for model in folds[0]}


def prepared(scratch, name, dim, mixco):
    home = scratch / name
    home.mkdir()
    (home / "model.toml").write_text(MODEL.format(dim=dim))
    (home / "training.toml").write_text(TRAINING.format(mixco=mixco))
    return home


def permuted(scratch_of, observe, labels, shuffle, folds_of_observed):
    """Draws of the permutation distribution, beside the observed value on the same folds with the same seed."""
    started, draws = time.monotonic(), []
    for number in range(PERMUTATIONS):
        if time.monotonic() - started > LIMIT_S:
            break
        draws.append(means(observe(shuffle(labels), (1,))))
        print(f"{scratch_of}: permutation {number + 1} of {PERMUTATIONS}, {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return {"observed": folds_of_observed, "draws": draws}


def kriegeskorte(program, data, scratch):
    source = np.load(data / "kriegeskorte92/hIT_gram_coordinates.npz")
    voxels = np.concatenate([source[key] for key in source.files if "_s" in key], axis=1)
    voxels = voxels @ np.linalg.qr(np.random.default_rng(1).standard_normal((voxels.shape[1],) * 2))[0]
    embedding = source["mobilenetv2_embedding"].reshape(92, 1280)
    narrow = np.linalg.qr(np.random.default_rng(2).standard_normal((1280, 128)))[0]
    home = prepared(scratch, "k92", 128, 0.33)
    folder, names = home / "data", [f"obj{i:02}" for i in range(92)]
    targets = home / "targets.npy"
    narrow = embedding @ narrow
    narrow /= np.linalg.norm(narrow, axis=1, keepdims=True)
    np.save(targets, narrow.astype(np.float32).reshape(92, 1, 128))
    archive = home / "k92.npz"
    np.savez_compressed(archive, voxels=voxels, image=np.array(names), session=np.array(["all"] * 92), run=np.array(["run1"] * 92))
    run(program, "import", "--from", "npz", "--source", archive, "--targets", targets, "--out", folder)
    rng = np.random.default_rng(0)
    groups = np.array_split(rng.permutation(92), 8)

    def observe(order, seeds):
        images = [names[i] for i in order]
        folds = []
        for at, test in enumerate(groups):
            held = set(groups[(at + 1) % len(groups)][:8])
            splits = ["test" if row in set(test) else "validation" if row in held else "train" for row in range(92)]
            write_trials(folder, images, splits, ["all"] * 92)
            folds.append(one_fold(program, folder, seeds))
        return folds

    folds = observe(np.arange(92), SEEDS)
    first = [{m: s[:1] if isinstance(s, list) else s for m, s in fold.items()} for fold in folds]
    null = permuted("kriegeskorte92", observe, np.arange(92), rng.permutation, means(first))
    return {"pictures": 92, "voxels": int(voxels.shape[1]), "folds": 8, "pool": "11 or 12 pictures", "chance": {"two_way": 0.5, "top1": "1/11.5"},
            "models": summary(folds, null, np.random.default_rng(5))}


def haxby(program, data, scratch):
    betas, categories, runs = ridge_data.haxby_blocks(data)
    kinds, names = sorted(set(categories)), [f"block{i:03}" for i in range(len(betas))]
    home = prepared(scratch, "haxby", len(kinds), 0.0)
    folder = home / "data"
    one_hot = lambda labels: np.eye(len(kinds), dtype=np.float32)[[kinds.index(c) for c in labels]][:, None, :]
    targets, archive = home / "targets.npy", home / "haxby.npz"
    np.save(targets, one_hot(categories))
    sessions = [f"run{r}" for r in runs]
    np.savez_compressed(archive, voxels=betas, image=np.array(names), session=np.array(sessions), run=np.array(sessions))
    run(program, "import", "--from", "npz", "--source", archive, "--targets", targets, "--out", folder)
    rng = np.random.default_rng(0)
    numbers = sorted(set(runs))

    def observe(labels, seeds, left_out=tuple(numbers[8:])):
        np.save(folder / "targets.npy", one_hot(labels))
        folds = []
        for number in left_out:
            validation = numbers[(numbers.index(number) + 1) % len(numbers)]
            splits = ["test" if r == number else "validation" if r == validation else "train" for r in runs]
            write_trials(folder, names, splits, sessions)
            folds.append(one_fold(program, folder, seeds))
        return folds

    def shuffled(labels):
        labels = labels.copy()
        for number in numbers:
            labels[runs == number] = rng.permutation(labels[runs == number])
        return labels

    folds = observe(categories, SEEDS, tuple(numbers))
    first = [{m: s[:1] if isinstance(s, list) else s for m, s in fold.items()} for fold in folds[8:]]
    null = permuted("haxby_pymvpa", observe, categories, shuffled, means(first))
    return {"blocks": len(betas), "voxels": int(betas.shape[1]), "folds": "leave one run out, 12", "chance": 1 / len(kinds),
            "permutation_folds": "runs 9 to 12 left out", "models": summary(folds, null, np.random.default_rng(5))}


def main():
    program, data, scratch, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
    scratch.mkdir(parents=True)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    result = {"what": "MindEye variants on real data, beside ridge and the permutation distribution",
              "how": __doc__.split("\n\n", 2)[2].replace("\n", " ").strip(), "date": time.strftime("%Y-%m-%d"), "commit": commit,
              "model": MODEL, "training": TRAINING, "seeds": SEEDS}
    studies = {"haxby_pymvpa": haxby, "kriegeskorte92": kriegeskorte}
    for name in sys.argv[5:] or studies:
        result[name] = studies[name](program, data, scratch)
        out.write_text(json.dumps(result, indent=1) + "\n")
        print(json.dumps({name: result[name]["models"]}, indent=1))


if __name__ == "__main__":
    main()
