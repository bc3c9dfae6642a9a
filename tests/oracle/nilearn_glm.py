"""Nilearn 0.14.1 as the oracle of the single-trial GLM.

    nilearn_glm.py                runs preprocess/tests/nilearn.rs, which asks the verbs below
    nilearn_glm.py hrf            constants and shapes: our double gammas against nilearn's, number by number
    nilearn_glm.py cosines        number of drift columns for runs of every length
    nilearn_glm.py fit < CASES    betas of nilearn's run_glm for designs and data that Rust hands over
    nilearn_glm.py time           time of nilearn's LSS refit per trial at the size of the bench

Requests come as JSON on standard input, answers go as JSON to standard output. Not part of the product: the tests
skip without `MINDEYE_NILEARN_PYTHON`.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import nilearn
import numpy as np
from nilearn.glm.first_level import hemodynamic_models as hm
from nilearn.glm.first_level import make_first_level_design_matrix, run_glm


def hrf(request):
    """Kernels on nilearn's own grid, and regressors of one event at growing oversampling."""
    t_r, oversampling = request["t_r"], request["oversampling"]
    kernels = {
        name: getattr(hm, f"{name}_hrf")(t_r, oversampling=oversampling).tolist() for name in ("spm", "glover")
    }
    frames = np.array(request["frame_times"])
    event = (np.array([request["onset"]]), np.array([request["duration"]]), np.array([1.0]))
    regressors = {
        name: {
            str(over): hm.compute_regressor(event, name, frames, oversampling=over)[0][:, 0].tolist()
            for over in request["regressor_oversampling"]
        }
        for name in ("spm", "glover")
    }
    return {"kernels": kernels, "regressors": regressors}


def cosine_counts(request):
    """Nilearn's number of cosines for each run length."""
    from nilearn.signal import create_cosine_drift

    t_r, high_pass = request["t_r"], request["high_pass"]
    return [
        int(create_cosine_drift(high_pass, np.arange(n) * t_r).shape[1] - 1) for n in request["volumes"]
    ]


def fit(cases):
    """Last coefficient of every voxel for each (design, data, noise model)."""
    betas = []
    for case in cases:
        design, data = np.array(case["design"]), np.array(case["data"])
        labels, results = run_glm(data, design, noise_model=case["noise_model"])
        beta = np.zeros(data.shape[1])
        for label, result in results.items():
            beta[labels == label] = result.theta[-1]
        betas.append(beta.tolist())
    return betas


def time_refits():
    """LSS as the real-time MindEye runs it: a whole new design and fit for every trial (Glover, cosine 0.01 Hz, six
    confounds, events cropped to now), 15,724 voxels, TR 1.5 s, a trial every 6 s. `arrays` is the design and run_glm
    alone; `first_level_model` is what a pipeline calls: images in, effect map out. The better of two calls."""
    import nibabel
    import pandas as pd
    from nilearn.glm.first_level import FirstLevelModel

    rng = np.random.default_rng(0)
    t_r, shape, voxels = 1.5, (26, 26, 24), 15_724
    mask = np.zeros(shape, dtype=np.uint8)
    mask.reshape(-1)[:voxels] = 1
    mask_image = nibabel.Nifti1Image(mask, np.eye(4))
    data = (1000.0 + 14.0 * rng.standard_normal((*shape, 288))).astype(np.float32)
    flat = data[mask > 0].T.astype(np.float64)
    motion = np.cumsum(0.02 * rng.standard_normal((288, 6)), axis=0)

    def arrays(volumes, events, noise_model):
        frames = (np.arange(volumes) + 0.5) * t_r
        design = make_first_level_design_matrix(
            frames, events, hrf_model="glover", drift_model="cosine", high_pass=0.01, add_regs=motion[:volumes]
        )
        run_glm(flat[:volumes], design.to_numpy(), noise_model=noise_model)

    def first_level_model(volumes, events, noise_model):
        model = FirstLevelModel(
            t_r=t_r, slice_time_ref=0.5, hrf_model="glover", drift_model="cosine", high_pass=0.01,
            noise_model=noise_model, mask_img=mask_image, signal_scaling=False,
        )
        image = nibabel.Nifti1Image(data[..., :volumes], np.eye(4))
        model.fit(image, events, pd.DataFrame(motion[:volumes], columns=[f"motion{i}" for i in range(6)]))
        model.compute_contrast("probe", output_type="effect_size")

    timings = {}
    for call in (arrays, first_level_model):
        for noise_model in ("ols", "ar1"):
            row = timings.setdefault(f"{call.__name__} {noise_model}", {})
            for trial in (1, 5, 20, 40, 60):
                volumes = int(np.ceil((9.0 + 6.0 * trial + 7.5) / t_r))
                onsets = 9.0 + 6.0 * np.arange(trial + 2)
                onsets = onsets[onsets <= volumes * t_r]
                names = ["probe" if at == trial else "others" for at in range(len(onsets))]
                events = pd.DataFrame({"onset": onsets, "duration": 3.0, "trial_type": names})
                seconds = []
                for _ in range(2):
                    start = time.perf_counter()
                    call(volumes, events, noise_model)
                    seconds.append(time.perf_counter() - start)
                row[f"trial {trial}"] = round(1e3 * min(seconds), 1)
    return {"milliseconds": timings, "version": nilearn.__version__}


def test():
    """The Rust side asks; this Python answers."""
    command = ["cargo", "test", "-p", "mindeye-preprocess", "--test", "nilearn", "--", "--nocapture"]
    root = Path(__file__).resolve().parents[2]
    return subprocess.run(command, cwd=root, env=os.environ | {"MINDEYE_NILEARN_PYTHON": sys.executable}).returncode


def main():
    if len(sys.argv) < 2:
        sys.exit(test())
    what = sys.argv[1]
    if what == "hrf":
        answer = hrf(json.load(sys.stdin))
    elif what == "cosines":
        answer = cosine_counts(json.load(sys.stdin))
    elif what == "fit":
        answer = fit(json.load(sys.stdin))
    elif what == "time":
        answer = time_refits()
    else:
        sys.exit(f"hrf, cosines, fit or time, found {what}")
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
