"""Sets python-rtspm beside our motion correction: the same runs, the same machine, one after the other.

    python3 -m venv V && V/bin/pip install python-rtspm==0.2.18 nibabel scipy
    cargo run --release -p mindeye-benches --bin motion_side_by_side -- RUNS
    V/bin/python tests/oracle/rtspm_bench.py RUNS benches/results/motion-DATE.json
    V/bin/python tests/oracle/rtspm_bench.py time RUN.nii.gz      times alone, as benches/benches/preprocess.rs asks

Flags are those of OpenNFT (quality 0.9, FWHM 5 mm, separation 4 mm, B-spline degree 4, cold start from the template at
every volume); one thread of BLAS for both sides. Error: RMS over the brain of the distance between where the estimate
and the truth put a voxel's centre, millimetres.
"""

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import nibabel
import numpy as np
from rtspm import spm_matrix, spm_realign_rt, spm_reslice_rt  # noqa: F401

REALIGN = {"quality": 0.9, "fwhm": 5, "sep": 4, "interp": 4, "wrap": np.zeros((3, 1)), "rtm": 0, "PW": "",
           "lkp": np.arange(6)}
RESLICE = {"quality": 0.9, "fwhm": 5, "sep": 4, "interp": 4, "wrap": np.zeros((3, 1)), "mask": 1, "mean": 0, "which": 2}


def rotation(a, b, c):
    """Rx Ry Rz, right-handed, as `Motion` says."""
    rx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    ry = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    rz = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return rx @ ry @ rz


def motion_map(six, centre):
    """4x4 of x -> R (x - c) + c + t."""
    m = np.eye(4)
    m[:3, :3] = rotation(*six[3:])
    m[:3, 3] = centre + six[:3] - m[:3, :3] @ centre
    return m


def one_based(affine):
    """SPM counts voxels from 1."""
    shift = np.eye(4)
    shift[:3, 3] = -1
    return affine @ shift


def peer(run):
    """Map of reference mm to volume mm, and milliseconds of realign and reslice, per volume."""
    affine, data = run.affine, np.asarray(run.dataobj, dtype=float)
    mat, dim = one_based(affine), np.array(data.shape[:3])
    template = {"mat": mat.copy(), "dim": dim, "Vol": np.asfortranarray(data[..., 0])}
    a0, x1, x2, x3, deg, b = [], [], [], [], [], []
    for index in range(data.shape[3]):
        r = [dict(template), {"mat": mat.copy(), "dim": dim, "Vol": np.asfortranarray(data[..., index])}]
        if index > 0:
            r[0]["C"] = coefficients
        t0 = time.perf_counter()
        with np.errstate(all="ignore"):
            r, a0, x1, x2, x3, deg, b, _ = spm_realign_rt(r, dict(REALIGN, lkp=np.arange(6)), index, 0, a0, x1, x2, x3, deg, b)
        t1 = time.perf_counter()
        spm_reslice_rt(r, RESLICE)
        t2 = time.perf_counter()
        coefficients = r[0]["C"]
        yield mat @ np.linalg.inv(r[1]["mat"]), 1e3 * (t1 - t0), 1e3 * (t2 - t1)


def errors(maps, truths, places):
    """RMS distance over `places` (4 x n, mm)."""
    far = lambda m, t: np.sqrt(np.mean(np.sum(((m - t) @ places)[:3] ** 2, axis=0)))
    return np.array([far(m, t) for m, t in zip(maps, truths)])


def summary(error_mm, motion_ms, resample_ms):
    total = motion_ms + resample_ms
    row = lambda v: {"median": round(float(np.median(v)), 4), "p95": round(float(np.percentile(v, 95)), 4),
                     "worst": round(float(np.max(v)), 4)}
    return {"error_mm": row(error_mm), "motion_ms": row(motion_ms), "resample_ms": row(resample_ms), "total_ms": row(total)}


def one_run(folder):
    """Errors and times of one run: ours and the peer's, each (error mm, motion ms, resample ms)."""
    run, brain = nibabel.load(folder / "run.nii.gz"), nibabel.load(folder / "brain.nii.gz")
    centre = np.loadtxt(folder / "centre.tsv")
    truths = [motion_map(six, centre) for six in np.loadtxt(folder / "truth.tsv")]
    inside = np.argwhere(np.asarray(brain.dataobj) > 0)
    places = brain.affine @ np.vstack([inside.T, np.ones(len(inside))])
    ours = np.loadtxt(folder / "ours.tsv")
    theirs = list(peer(run))
    our_errors = errors([motion_map(row[:6], centre) for row in ours], truths, places)
    their_errors = errors([t[0] for t in theirs], truths, places)
    # Volume 0 is the reference itself: both know the answer, and the peer prepares there.
    return (np.column_stack([our_errors, ours[:, 6:8]])[1:],
            np.column_stack([their_errors, [t[1:] for t in theirs]])[1:], len(inside), float(run.header.get_zooms()[0]))


def side_by_side(matrix, folders):
    """All runs of one matrix, pooled."""
    runs = [one_run(folder) for folder in folders]
    ours, theirs = (summary(*np.vstack([run[side] for run in runs]).T) for side in (0, 1))
    ratio = theirs["total_ms"]["median"] / ours["total_ms"]["median"]
    return {"matrix": matrix, "voxel_mm": runs[0][3], "runs": len(runs), "volumes_compared": sum(len(r[0]) for r in runs),
            "brain_voxels_resampled": runs[0][2], "mindeye": ours, "python-rtspm 0.2.18": theirs,
            "times_faster_median": round(ratio, 1)}


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    return {"processor": model, "cores": os.cpu_count(), "system": platform.system(), "python": platform.python_version(),
            "numpy": np.__version__}


def times(run):
    """Milliseconds of realign and reslice per volume; volume 0 is the reference, where the peer prepares. Processor time
    is the whole process's, whatever else the machine does."""
    rows, processor = [], []
    for _, realign, reslice in peer(run):
        processor.append(1e3 * time.process_time())
        rows.append((realign, reslice))
    rows, processor = np.array(rows)[1:], np.diff(processor)
    row = lambda v: {"p10": round(float(np.percentile(v, 10)), 2), "median": round(float(np.median(v)), 2),
                     "p95": round(float(np.percentile(v, 95)), 2)}
    return {"realign_ms": row(rows[:, 0]), "reslice_ms": row(rows[:, 1]), "total_ms": row(rows.sum(axis=1)),
            "total_processor_ms": {"mean": round(float(np.mean(processor)), 2)}}


def main():
    if sys.argv[1] == "time":
        print(json.dumps(times(nibabel.load(sys.argv[2]))))
        return
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    matrices = {}
    for path in sorted(p for p in folder.iterdir() if (p / "run.nii.gz").exists()):
        matrices.setdefault(path.name.rsplit("-", 1)[0], []).append(path)
    order = sorted(matrices, key=lambda name: np.prod([int(n) for n in name.split("x")]))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    result = {
        "what": "rigid-body motion of simulated runs: error against the truth and wall time per volume, both on one core",
        "how": "3 runs of 24 volumes per matrix, drift and jumps to 3 mm and 3 degrees per axis, SFNR 70, reference = first volume; "
               "ours: release build, estimate + B-spline reading of every brain voxel; peer: realign + reslice, OpenNFT's flags",
        "note": "a shared machine: compare medians and ratios",
        "date": time.strftime("%Y-%m-%d"), "commit": commit, "machine": machine(),
        "runs": [side_by_side(name, matrices[name]) for name in order],
    }
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
