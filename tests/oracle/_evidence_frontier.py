"""What it costs a single-trial GLM to keep the evidence of forty trials of one category in a row: needs numpy and scipy only.

    .venv/bin/python tests/oracle/_evidence_frontier.py [benches/results/evidence-frontier-DATE.json]

The simulation of `preprocess/tests/glm_support` written again (60 or 80 trials of 3 s, SFNR 70, AR(1) noise of 0.4, drift of 1 % with
a period of 200 s besides a line, motion), and ridge-LSA with known noise. To the independent amplitudes of the trials a level is
added that all share (penalty `constant`), and levels that wander in cosines down to a period (penalty `slow`): an estimator
that is told that neighbours in time may be alike. Printed for each: correlation with the true amplitudes of a mixed run at 7.5 and
12 s and of the whole run, and the share of category evidence that trials 30 to 59 of a blocked run keep of a mixed one's, at
7.5 and 12 s, statistics frozen from a third run.
"""

import json
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy.stats import gamma

TR_S, RHO, NOISE, LAGS_S = 1.5, 0.4, 100 / 70, [7.5, 12.0]
ALPHA, DRIFT, CUTOFF_HZ, MOTION = 1.0, 8.0, 1 / 128, 8.0
VOXELS, SEEDS = 250, (11, 12, 13)
# (constant, slow, period in seconds): penalties in units of the noise's variance over the level's; None for none.
LEVELS = [(None, None, 0), (4, None, 0), (2, None, 0), (4, 4, 400), (4, 4, 200), (3, 3, 200), (2, 2, 200)]


def response(t, stimulus_s=3.0):
    """Glover's double gamma (nilearn 0.14.1's constants) convolved with the stimulus, peak 1, cut at 1/1000."""
    def area(t):
        return gamma.cdf(t, 6 / 0.9, scale=0.9) - 0.48 * gamma.cdf(t, 12 / 0.9, scale=0.9)
    fine = np.arange(0, 60, 0.01)
    height = (area(fine) - area(fine - stimulus_s)).max()
    x = (area(t) - area(t - stimulus_s)) / height
    return np.where(np.abs(x) < 1e-3, 0, x)


def simulate(interval_s, seed, truth):
    random = np.random.default_rng(seed)
    trials, voxels = truth.shape
    onsets = 12 + interval_s * np.arange(trials)
    end_s = onsets[-1] + 16
    n = int(end_s / TR_S)
    sampled = (np.arange(n) + 0.5) * TR_S
    x = response(sampled[:, None] - onsets)
    motion = np.cumsum(random.standard_normal((n, 6)) * ([0.02] * 3 + [0.0004] * 3), 0)
    noise = random.standard_normal((n, voxels))
    for t in range(1, n):
        noise[t] = RHO * noise[t - 1] + np.sqrt(1 - RHO**2) * noise[t]
    drift = np.sin(2 * np.pi * (sampled[:, None] / 200 + random.random(voxels))) + sampled[:, None] / end_s
    moved = 0.5 * random.standard_normal(voxels) * (motion[:, 0] - motion[:, 2])[:, None]
    return {"onsets": onsets, "sampled": sampled, "x": x, "motion": motion, "y": x @ truth + drift + moved + NOISE * noise}


def whitened(a):
    a = a.copy()
    a[1:] -= RHO * a[:-1]
    return a


def estimate(run, level):
    """Betas [7.5 s, 12 s, whole run][trials][voxels]: each from the volumes up to its lag."""
    constant, slow, period_s = level
    onsets, sampled, x = run["onsets"], run["sampled"], run["x"]
    n, length_s = len(sampled), len(sampled) * TR_S
    cosines = np.cos(np.pi * np.outer(sampled, np.arange(1, int(2 * length_s * CUTOFF_HZ) + 1)) / length_s)
    shared, shared_penalty = np.zeros((0, len(onsets))), []
    if constant:
        shared, shared_penalty = np.ones((1, len(onsets))), [constant]
    if slow:
        orders = np.arange(1, int(2 * length_s / period_s) + 1)
        shared = np.vstack([shared, np.cos(np.pi * np.outer(orders, onsets) / length_s)])
        shared_penalty = shared_penalty + [slow] * len(orders)
    energy = (response((np.arange(100) + 0.5) * TR_S) ** 2).sum()
    columns = np.hstack([np.ones((n, 1)), run["motion"], cosines, x @ shared.T, x])
    penalty = np.concatenate([[0], [MOTION] * 3, [MOTION / 2500] * 3, [DRIFT] * cosines.shape[1], shared_penalty,
                              [ALPHA * energy] * len(onsets)])
    first_level, first_trial = 7 + cosines.shape[1], 7 + cosines.shape[1] + len(shared)
    a, y = whitened(columns), whitened(run["y"])
    ends = (np.arange(n) + 1) * TR_S

    def due(lag_s, trial):
        return int(np.argmax(ends >= onsets[trial] + lag_s - 1e-9)) + 1

    upto = {m: None for m in [n] + [due(lag_s, k) for lag_s in LAGS_S for k in range(len(onsets))]}
    for m in upto:
        b = np.linalg.solve(a[:m].T @ a[:m] + np.diag(penalty), a[:m].T @ y[:m])
        upto[m] = b[first_trial:] + shared.T @ b[first_level:first_trial]
    rows = [[upto[due(lag_s, k)][k] for k in range(len(onsets))] for lag_s in LAGS_S]
    return np.array(rows + [list(upto[n])])


def accuracy(interval_s, level):
    """Mean over voxels of the correlation over trials 5 to 54 with the truth."""
    truth = 0.5 + np.random.default_rng(77).standard_normal((60, VOXELS))
    betas = estimate(simulate(interval_s, 78, truth), level)[:, 5:55]
    truth = truth[5:55] - truth[5:55].mean(0)
    betas = betas - betas.mean(1, keepdims=True)
    r = (betas * truth).sum(1) / np.sqrt((betas**2).sum(1) * (truth**2).sum(0))
    return r.mean(1)


def evidence_kept(interval_s, level):
    mixed = np.arange(80) % 4 // 2
    blocked = np.where((np.arange(80) >= 20) & (np.arange(80) < 60), 0, mixed)
    sums = np.zeros((2, 2))
    for seed in SEEDS:
        patterns = 0.5 + np.random.default_rng(seed).standard_normal((2, VOXELS))
        frozen = estimate(simulate(interval_s, (seed, 0), patterns[mixed]), level)[:2]
        mean, sd = frozen.mean(1, keepdims=True), frozen.std(1, keepdims=True)
        for at, order in enumerate((blocked, mixed)):
            z = (estimate(simulate(interval_s, (seed, 1), patterns[order]), level)[:2] - mean) / sd
            chosen = [k for k in range(30, 60) if order[k] == 0]
            sums[at] += (z[:, chosen] @ (patterns[0] - patterns[1])).mean(1)
    return sums[0] / sums[1]


def main():
    rows = []
    for level in LEVELS:
        row = {"constant": level[0], "slow": level[1], "slow_period_s": level[2]}
        for interval_s in (4.0, 6.0):
            r, kept = accuracy(interval_s, level), evidence_kept(interval_s, level)
            row[f"every_{interval_s:.0f}_s"] = {"r_7.5_12_whole": [round(v, 3) for v in r.tolist()],
                                                "evidence_kept_7.5_12": [round(v, 2) for v in kept.tolist()]}
        print(json.dumps(row), flush=True)
        rows.append(row)
    if len(sys.argv) > 1:
        what = "price of keeping the evidence of forty trials of one category in a row: shared levels in a ridge-LSA with known noise"
        document = {"what": what, "how": "tests/oracle/_evidence_frontier.py", "voxels": VOXELS, "seeds": SEEDS, "rows": rows}
        with open(sys.argv[1], "w") as file:
            json.dump(document, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
