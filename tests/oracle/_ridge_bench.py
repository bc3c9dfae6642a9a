"""Sets scikit-learn beside `mindeye-train calibrate --direct`: the same data, the same machine, one after the other.

    cargo build --release -p mindeye-trainer
    python tests/oracle/_ridge_bench.py target/release/mindeye-train FOLDER benches/results/ridge-DATE.json [--small]

Makes 1,000 trials of 15,724 voxels with targets of 197,376 numbers (0.8 GB) in FOLDER; `--small` is a tenth of each. Ours is the
whole program: read, z-score, Gram matrices, alpha by leave-one-out over 13 candidates, coefficients, files. scikit-learn, in
f32: Ridge at one alpha (no search), and RidgeCV over the same 13 candidates on as many outputs as fit into memory and
minutes; its time for all outputs is scaled up and said to be so. Peak memory is the process's own largest resident set,
mapped files included.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np


def make(folder, trials, voxels, tokens, width):
    rng = np.random.default_rng(1)
    folder.mkdir(parents=True)
    latent = rng.standard_normal((trials, 64), dtype=np.float32)
    targets = latent @ rng.standard_normal((64, tokens * width), dtype=np.float32)
    targets += 4 * rng.standard_normal(targets.shape, dtype=np.float32)
    np.save(folder / "targets.npy", targets.reshape(trials, tokens, width))
    del targets
    betas = latent @ rng.standard_normal((64, voxels), dtype=np.float32)
    betas += 20 * rng.standard_normal(betas.shape, dtype=np.float32)
    np.save(folder / "voxels.npy", betas)
    lines = [f"{i}\timg{i:05}\ttrain\tses1\trun1" for i in range(trials)]
    (folder / "trials.tsv").write_text("trial\timage\tsplit\tsession\trun\n" + "\n".join(lines) + "\n")
    (folder / "dataset.toml").write_text('beta_unit = "none"\n')


def ours(program, data, out):
    start = time.perf_counter()
    answer = subprocess.run([program, "calibrate", "--direct", "--data", data, "--out", out, "--json"], check=True,
                            capture_output=True, text=True).stdout
    wall = time.perf_counter() - start
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak, cpu = usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime
    report = json.loads(answer)
    keep = ("trials", "voxels", "outputs", "alpha", "left_out", "front_end_bytes", "fit_s", "write_s")
    return {"wall_s": round(wall, 2), "cpu_s": round(cpu, 2), "peak_rss_gb": round(peak / 1e9, 2), **{key: report[key] for key in keep}}


PEER = """
import json, resource, sys, time
import numpy as np
from sklearn.linear_model import Ridge, RidgeCV
kind, data, alpha, outputs = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])
start = time.perf_counter()
x = np.load(data + "/voxels.npy")
y = np.load(data + "/targets.npy", mmap_mode="r")
y = np.ascontiguousarray(y.reshape(len(x), -1)[:, :outputs])
x -= x.mean(0); x /= x.std(0)
fit = time.perf_counter()
if kind == "ridge":
    model = Ridge(alpha=alpha, solver="cholesky").fit(x, y)
    # scikit-learn keeps the primal weights, [outputs, voxels].
    size = model.coef_.nbytes
else:
    model = RidgeCV(alphas=alpha).fit(x, y)
    size = model.coef_.nbytes
end = time.perf_counter()
print(json.dumps({"fit_s": end - fit, "wall_s": end - start, "weights_bytes": size, "outputs": outputs,
                  "cpu_s": time.process_time(),
                  "alpha": float(getattr(model, "alpha_", alpha if kind == "ridge" else 0)),
                  "peak_rss_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9}))
"""


def peer(kind, data, alpha, outputs):
    answer = subprocess.run([sys.executable, "-c", PEER, kind, str(data), json.dumps(alpha), str(outputs)], check=True,
                            capture_output=True, text=True).stdout
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in json.loads(answer).items()}


def main():
    program, folder, out = sys.argv[1:4]
    small = "--small" in sys.argv
    trials, voxels, tokens, width = (100, 1572, 26, 768) if small else (1000, 15724, 257, 768)
    data = Path(folder) / "data"
    make(data, trials, voxels, tokens, width)
    mine = ours(program, data, Path(folder) / "ridge")
    grid = [candidate["alpha"] for candidate in json.loads((Path(folder) / "ridge/calibration.json").read_text())["left_out_by_alpha"]]
    # 15,724 x 32,896 primal weights in f32 are 2.1 GB; all 197,376 would be 12.4 GB.
    part = min(tokens * width, 32_896)
    ridge = peer("ridge", data, mine["alpha"][0], part)
    search = peer("ridgecv", data, grid, part // 8)
    scale = lambda row: row["fit_s"] * tokens * width / row["outputs"]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    import sklearn
    result = {
        "what": "closed-form calibration of a new participant: 1,000 trials of 15,724 voxels to 257 x 768 tokens",
        "how": __doc__.split("\n\n")[-1].replace("\n", " ").strip(),
        "note": "a shared machine (load average given): compare ratios with care",
        "date": time.strftime("%Y-%m-%d"), "commit": commit, "load_average": os.getloadavg(),
        "machine": {"processor": model, "cores": os.cpu_count(), "system": platform.system(), "python": platform.python_version(),
                    "numpy": np.__version__, "scikit-learn": sklearn.__version__},
        "estimate_before": {"gflop": {"gram_of_betas": 16, "gram_of_targets": 197, "coefficients": 395, "13_alphas": 26 + 52},
                            "gb": {"targets_mapped": 0.79, "targets_of_training": 0.79, "coefficients": 0.79, "basis": 0.06}},
        "limits": {"wall_s": 60, "peak_rss_gb": 4},
        "mindeye calibrate --direct": mine,
        "scikit-learn Ridge, one alpha": ridge, "scikit-learn RidgeCV, 13 alphas": search,
        "scaled to all outputs, fit only": {"ridge_s": round(scale(ridge), 1), "ridgecv_s": round(scale(search), 1)},
        "ratio_peer_over_ours_fit": {"Ridge without a search": round(scale(ridge) / mine["fit_s"], 2),
                                     "RidgeCV": round(scale(search) / mine["fit_s"], 2)},
    }
    Path(out).write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
