"""Gabor energies, receptive fields, haemodynamic responses and noise of a synthetic participant, recomputed in numpy.

    .venv/bin/python tests/oracle/participants_truth.py [TRUTH.json]

Makes the truth (`cargo run -p mindeye-participants --example participant_truth`) unless it is given, and fails where a number is off.
Written from docs/participants.md, not from the Rust: filters are two-dimensional here and not separated, fields are
Gaussians in degrees, responses are scipy's gamma distributions, noise is judged by its moments.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.stats import gamma

ROOT = Path(__file__).resolve().parents[2]
SIDE, CELLS, DEGREES = 64, 16, 8.4


def truth():
    if len(sys.argv) > 1:
        return json.loads(Path(sys.argv[1]).read_text())
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "truth.json"
        command = ["cargo", "run", "--quiet", "-p", "mindeye-participants", "--example", "participant_truth", "--", str(out)]
        subprocess.run(command, cwd=ROOT, check=True)
        return json.loads(out.read_text())


def blocks(plane):
    b = plane.shape[0] // CELLS
    return plane.reshape(CELLS, b, CELLS, b).mean(axis=(1, 3))


def energy(luminance, cycles, angle):
    """Magnitude of one complex Gabor at 32x32 places between pixels, averaged in twos."""
    wavelength = SIDE / cycles
    sigma = wavelength / 2
    reach = int(np.ceil(3 * sigma))
    d = np.arange(1 - reach, reach + 1) - 0.5
    x, y = np.meshgrid(d, d)
    envelope = np.exp(-(x**2 + y**2) / (2 * sigma**2))
    kernel = envelope * np.exp(2j * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / wavelength)
    padded = np.pad(luminance, reach)
    out = np.empty((32, 32))
    for row in range(32):
        for column in range(32):
            # The place lies between pixels 2n and 2n + 1.
            top, left = 2 * row + 1, 2 * column + 1
            out[row, column] = abs((padded[top:top + 2 * reach, left:left + 2 * reach] * kernel).sum())
    return blocks(2 * out / envelope.sum())


def channels(rgb):
    r, g, b = np.moveaxis(rgb / 255.0, -1, 0)
    luminance = 2 * (0.299 * r + 0.587 * g + 0.114 * b) - 1
    maps = [energy(luminance, f, np.pi * o / 6) for f in (4, 8, 16) for o in range(6)]
    for opponent in (r - g, b - (r + g) / 2):
        maps += [blocks(np.maximum(opponent, 0)), blocks(np.maximum(-opponent, 0))]
    return np.array(maps + [blocks(luminance)])


def field(voxel):
    degrees = ((np.arange(CELLS) + 0.5) / CELLS - 0.5) * DEGREES
    x, y = np.meshgrid(degrees, -degrees)
    right, up = voxel["centre_deg"]
    weight = np.exp(-((x - right) ** 2 + (y - up) ** 2) / (2 * voxel["radius_deg"] ** 2))
    return weight / weight.sum()


def form_and_colour(voxel, maps):
    pooled = (maps * field(voxel)).sum(axis=(1, 2))
    weights, contrast = np.array(voxel["weights"]), pooled[:18].mean()
    form = ((weights[:18] @ pooled[:18]) / (0.02 + contrast)) ** voxel["exponent"]
    colour = weights[18:22] @ np.sqrt(pooled[18:22]) + weights[22] * pooled[22]
    return form, colour


def heights(stretch, t, duration=3.0):
    def area(t):
        t = np.clip(t / stretch, 0, 32)
        return gamma.cdf(t, 6) - gamma.cdf(t, 16) / 6
    fine = np.arange(0, 60, 0.005)
    return (area(t) - area(t - duration)) / np.max(area(fine) - area(fine - duration))


def check(what, found, expected, tolerance, because):
    off = np.max(np.abs(np.asarray(found, float) - np.asarray(expected, float)))
    print(f"{what}: off by {off:.2g}, allowed {tolerance:.2g} ({because})")
    return off <= tolerance


def check_noise(truth):
    """SD, spatial correlation and correlation of successive trials against the preset."""
    mix, factor = truth["beta"], truth["noise_factor"]
    noise = np.array(truth["noise"])
    flat = noise.reshape(-1, noise.shape[-1])
    modes = flat.std(axis=0) ** 2 / factor**2 - mix["smooth_sd"] ** 2 - mix["thermal_sd"] ** 2
    # The first of five modes weighs 1, the squares of the others are 1 on average over the head.
    share = modes / max(mix["global_sd"], 1e-9) ** 2
    fine = check("modes' variance, in modes", np.clip(share, 1, 12), share, 1.0, "between 1 and 12 everywhere, and its error")
    lasting = mix["smooth_sd"] ** 2 + share * mix["global_sd"] ** 2
    expected = mix["ar1"] * lasting / (lasting + mix["thermal_sd"] ** 2)
    found = [np.corrcoef(noise[:, :-1, v].ravel(), noise[:, 1:, v].ravel())[0, 1] for v in range(noise.shape[-1])]
    fine &= check("lag-1 correlation", found, expected, 0.08, "five standard errors over 3,700 pairs")
    a, b = truth["voxels"][0]["linear_index"], truth["voxels"][1]["linear_index"]
    delta = np.array([abs(a % 64 - b % 64), abs(a // 64 % 64 - b // 64 % 64), abs(a // 4096 - b // 4096)]) * 3.0
    sigma = mix["smooth_fwhm_mm"] / np.sqrt(8 * np.log(2))
    near = np.exp(-(delta**2).sum() / (4 * sigma**2))
    covariance = np.cov(flat[:, 0], flat[:, 1])[0, 1] / factor**2
    expected = mix["smooth_sd"] ** 2 * near + share[:2].mean() * mix["global_sd"] ** 2
    scale = flat[:, :2].var(axis=0).mean() / factor**2
    return fine & check("neighbours' covariance", covariance / scale, expected / scale, 0.15,
                        "five standard errors, the cut of the Gaussian, and modes that differ a little between neighbours")


def main():
    t = truth()
    rgb = np.array(t["rgb"], float).reshape(SIDE, SIDE, 3)
    maps = channels(rgb)
    ours = np.array(t["channels"]).reshape(CELLS * CELLS, -1).T.reshape(-1, CELLS, CELLS)
    fine = check("channels", ours, maps, 2e-5, "sums of 2,300 products in f32")
    for n, voxel in enumerate(t["voxels"]):
        form, colour = form_and_colour(voxel, maps)
        fine &= check(f"voxel {n}: form, colour", voxel["drives"][:2], [form, colour], 2e-4, "f32, and square roots near 0")
        expected = heights(voxel["stretch"], np.array(t["times_s"]))
        fine &= check(f"voxel {n}: response", voxel["heights"], expected, 1.1e-3, "what is below 1e-3 of the peak is 0")
    fine &= check_noise(t)
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
