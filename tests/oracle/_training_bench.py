"""Times MindEye's training step in the trainer and in PyTorch, in turn, and writes both with their ratio.

    python _training_bench.py TRAINING_STEP_PROGRAM OUT.json [--device cuda:0] [--precision fp32 bf16]
                              [--model FILE|mindeye1-subj01|bench] [--batch 32] [--steps 5] [--rounds 3] [--fused]

TRAINING_STEP_PROGRAM is the built example of trainer/examples/training_step.rs; PyTorch's side is _training_step.py, and
both say what a step is. Each runs in a fresh process, one after the other, `--rounds` times; the first steps of a process
(`--warm`) pay for allocation and are left out. On CUDA the program, built against a CPU libtorch of PyTorch's very version,
runs on the libraries of this Python's torch (LD_LIBRARY_PATH, and LD_PRELOAD of libtorch_cuda.so).
"""

import argparse
import importlib.util
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

THERE = pathlib.Path(__file__).with_name("_training_step.py")
# 34 M parameters: what two cores can step in a second.
BENCH = """voxels = 8000
hidden = 1024
blocks = 4
tokens = 65
token_dim = 256
projector_hidden = 512
prior_depth = 4
prior_heads = 4
prior_head_dim = 64
low_level_hidden = 64
low_level_map_channels = 8
low_level_map_side = 2
upsampler_channels = [8, 16, 32]
vae_channels = [8, 16]
vae_layers_per_block = 1
norm_groups = 8
"""


def answer(command, environment):
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    if done.returncode != 0:
        sys.exit(f"{command[0]}: status {done.returncode}\n{done.stderr[-4000:]}")
    return json.loads(done.stdout)


def libraries(device):
    """Environment in which a program finds this Python's libtorch, CUDA half included."""
    if device == "cpu":
        return {}
    lib = pathlib.Path(importlib.util.find_spec("torch").origin).parent / "lib"
    return {"LD_LIBRARY_PATH": str(lib), "LD_PRELOAD": str(lib / "libtorch_cuda.so")}


def told(answers, warm):
    seconds = [s for a in answers for s in a["step_s"][warm:]]
    keys = ("peak_rss_gb", "device_gb", "device_allocated_gb")
    memory = {k: round(max(a[k] for a in answers), 3) for k in keys if answers[0].get(k) is not None}
    figures = {"median": statistics.median(seconds), "fastest": min(seconds)}
    return {k: round(v, 5) for k, v in figures.items()} | memory | {"last_loss": answers[-1]["loss"][-1]}


def compared(a, model, precision):
    flags = ["--model", model, "--batch", a.batch, "--steps", a.steps + a.warm, "--threads", a.threads]
    flags = [str(f) for f in flags + ["--device", a.device, "--precision", precision]]
    ours, theirs = [], []
    for _ in range(a.rounds):
        ours.append(answer([a.program, *flags], libraries(a.device)))
        theirs.append(answer([sys.executable, str(THERE), *flags, *(["--fused"] if a.fused else [])], {}))
    assert ours[0]["parameters"] == theirs[0]["parameters"], (ours[0]["parameters"], theirs[0]["parameters"])
    both = {"mindeye": told(ours, a.warm), "pytorch": told(theirs, a.warm)}
    ratio = {k: round(both["mindeye"][k] / both["pytorch"][k], 3) for k in ("median", "fastest")}
    print(precision, json.dumps(ratio), flush=True)
    facts = {"precision": precision, "parameters": ours[0]["parameters"], "torch": theirs[0]["torch"]}
    return facts | {"seconds_per_step_and_memory": both, "ratio_ours_over_pytorch": ratio}


def main(a):
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as bench:
        bench.write(BENCH)
        bench.flush()
        results = [compared(a, bench.name if a.model == "bench" else a.model, p) for p in a.precision]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    gpu = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    device = a.device if a.device == "cpu" else subprocess.run(gpu, capture_output=True, text=True).stdout.strip()
    result = {
        "what": "one training step (mixing, backbone, projector, prior, losses, gradients, AdamW)",
        "how": f"in turn, {a.rounds} rounds of {a.steps} steps each in fresh processes, {a.warm} more left out at first",
        "date": time.strftime("%Y-%m-%d"), "commit": commit, "load_average": os.getloadavg(), "device": device,
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count(), "threads": a.threads},
        "model": a.model, "batch": a.batch, "pytorch_adamw": "fused" if a.fused else "default", "results": results}
    pathlib.Path(a.out).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("out")
    parser.add_argument("--model", default="bench")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--warm", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", nargs="+", default=["fp32"], choices=("fp32", "bf16"))
    parser.add_argument("--fused", action="store_true")
    main(parser.parse_args())
