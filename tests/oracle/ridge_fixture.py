"""Writes `trainer/tests/fixtures/ridge.safetensors`: a small ridge problem and scikit-learn's answers to it.

Inputs `io.*`, answers `sk.*`; repeats are in it (trial i shows image_of[i]). Left-out errors of whole images come from
refitting without them, one by one.
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from sklearn.linear_model import Ridge, RidgeCV

ALPHAS = np.array([0.3, 3.0, 30.0, 300.0])


def problem():
    rng = np.random.default_rng(5)
    trials, voxels, images, outputs = 40, 90, 26, 12
    image_of = np.concatenate([np.arange(images), rng.integers(0, images, trials - images)])
    targets = rng.normal(size=(images, outputs)) + 2.0 * rng.normal(size=outputs)
    # Outputs differ in how much of them the voxels carry, so that they want different alphas.
    carried = targets * np.linspace(0.02, 2.0, outputs)
    patterns = carried[image_of] @ rng.normal(size=(outputs, voxels)) + 4.0 * rng.normal(size=(trials, voxels))
    patterns = (patterns - patterns.mean(0)) / patterns.std(0)
    return patterns, targets, image_of, rng.normal(size=(7, voxels))


def left_out_images(x, y, image_of, alpha):
    """Errors of all trials of an image by a fit without them."""
    errors = np.zeros_like(y)
    for image in np.unique(image_of):
        out = image_of == image
        errors[out] = y[out] - Ridge(alpha=alpha, solver="cholesky").fit(x[~out], y[~out]).predict(x[out])
    return errors


def main():
    x, targets, image_of, new = problem()
    y = targets[image_of]
    common = RidgeCV(alphas=ALPHAS, store_cv_results=True).fit(x, y)
    each = RidgeCV(alphas=ALPHAS, alpha_per_target=True).fit(x, y)
    total = ((y - y.mean(0)) ** 2).sum()
    trial_sse = common.cv_results_.sum(axis=(0, 1))
    image_sse = np.array([(left_out_images(x, y, image_of, a) ** 2).sum() for a in ALPHAS])
    f32 = lambda v: np.ascontiguousarray(v, dtype=np.float32)
    out = Path(__file__).resolve().parents[2] / "trainer/tests/fixtures/ridge.safetensors"
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file({
        "io.patterns": f32(x), "io.targets": f32(targets), "io.image_of": image_of.astype(np.int64), "io.new": f32(new),
        "io.alphas": ALPHAS,
        "sk.fixed_prediction": f32(Ridge(alpha=3.0, solver="cholesky").fit(x, y).predict(new)),
        "sk.common_alpha": np.array([common.alpha_]), "sk.common_prediction": f32(common.predict(new)),
        "sk.trial_r2": 1 - trial_sse / total, "sk.image_r2": 1 - image_sse / total,
        "sk.target_alpha": np.asarray(each.alpha_, dtype=np.float64), "sk.target_prediction": f32(each.predict(new)),
    }, out)
    print(out, "common", common.alpha_, "each", each.alpha_, 1 - trial_sse / total, 1 - image_sse / total)


if __name__ == "__main__":
    main()
