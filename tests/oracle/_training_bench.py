"""Times MindEye's training step in the trainer and in PyTorch, in turn, and writes both with their ratio.

    python _training_bench.py TRAINING_STEP_PROGRAM OUT.json [ROUNDS]

TRAINING_STEP_PROGRAM is the built example of trainer/examples/training_step.rs. Both sides: the same sizes (below),
BiMixCo phase, dropout on, prior loss, gradients of all tensors, AdamW, float32, two threads. PyTorch is written as its
users write it: modules, `loss.backward()`, `torch.optim.AdamW` with its defaults, gradients set to none.

Needs what _make_prior_fixture.py needs.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

THREADS = 2
os.environ["OMP_NUM_THREADS"] = str(THREADS)

import torch
import torch.nn.functional as F
from torch import nn

import _make_prior_fixture as prior_origin

V, H, BLOCKS, T, D, PROJECTOR, DEPTH, HEADS, HEAD_DIM, B, STEPS = 8000, 1024, 4, 65, 256, 512, 4, 4, 64, 32, 4
MODEL = f"""voxels = {V}
hidden = {H}
blocks = {BLOCKS}
tokens = {T}
token_dim = {D}
projector_hidden = {PROJECTOR}
prior_depth = {DEPTH}
prior_heads = {HEADS}
prior_head_dim = {HEAD_DIM}
low_level_hidden = 64
low_level_map_channels = 8
low_level_map_side = 2
upsampler_channels = [8, 16, 32]
vae_channels = [8, 16]
vae_layers_per_block = 1
norm_groups = 8
"""
prior_origin.DIM, prior_origin.DEPTH, prior_origin.HEADS = D, DEPTH, HEADS
prior_origin.HEAD_DIM, prior_origin.TOKENS = HEAD_DIM, T


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        block = lambda inner, p: nn.Sequential(nn.Linear(inner, H), nn.LayerNorm(H), nn.GELU(), nn.Dropout(p))
        self.lin0, self.lin1 = block(V, 0.5), nn.Linear(H, T * D)
        self.mlp = nn.ModuleList([block(H, 0.15) for _ in range(BLOCKS)])
        layers = []
        for inner, out in ((D, PROJECTOR), (PROJECTOR, PROJECTOR), (PROJECTOR, D)):
            layers += [nn.LayerNorm(inner), nn.GELU(), nn.Linear(inner, out)]
        self.projector = nn.Sequential(*layers)

    def forward(self, x):
        x = self.lin0(x)
        for block in self.mlp:
            x = block(x) + x
        tokens = self.lin1(x).view(-1, T, D)
        return tokens, self.projector(tokens)


class PyTorch:
    def __init__(self):
        torch.set_num_threads(THREADS)
        self.model = nn.ModuleDict({"voxel2clip": Backbone(), "net": prior_origin.Prior()}).train()
        self.schedule = prior_origin.origin.NoiseScheduler(beta_schedule="cosine", timesteps=100, loss_type="l2")
        named = list(self.model.named_parameters())
        groups = [{"params": [p for k, p in named if "bias" not in k], "weight_decay": 1e-2},
                  {"params": [p for k, p in named if "bias" in k], "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=1.2e-5)
        self.voxels, self.target = torch.randn(B, V), torch.randn(B, T, D)

    def step(self):
        partner, lam = torch.randperm(B), torch.distributions.Beta(0.15, 0.15).sample((B,))
        lam[torch.rand(B) < 0.5] = 1.0
        weights = torch.diag(lam)
        weights[torch.arange(B), partner] = 1 - lam
        tokens, projected = self.model["voxel2clip"](self.voxels * lam[:, None] + self.voxels[partner] * (1 - lam[:, None]))
        p, t = F.normalize(projected.flatten(1), dim=-1), F.normalize(self.target.flatten(1), dim=-1)
        scores = p @ t.T / 0.006
        contrastive = -((weights * scores.log_softmax(-1)).sum(-1).mean() + (weights.T * scores.T.log_softmax(-1)).sum(-1).mean()) / 2
        steps, clean = torch.randint(0, 100, (B,)), self.target * D**0.5
        predicted = self.model["net"](self.schedule.q_sample(clean, t=steps, noise=torch.randn_like(clean)), steps.float(), tokens)
        total = contrastive + 30 * F.mse_loss(predicted, clean)
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        self.optimiser.step()

    def seconds(self):
        found = []
        for _ in range(STEPS):
            began = time.perf_counter()
            self.step()
            found.append(time.perf_counter() - began)
        return found


def ours(program, model):
    command = [program, "--model", model, "--batch", str(B), "--steps", str(STEPS + 1), "--threads", str(THREADS)]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return answer["step_s"][1:], answer  # the first step of a fresh process pays for allocation


def main(program, out, rounds=4):
    theirs = PyTorch()
    theirs.step()
    found = {"mindeye_s": [], "pytorch_s": []}
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as model:
        model.write(MODEL)
        model.flush()
        for _ in range(int(rounds)):
            seconds, answer = ours(program, model.name)
            found["mindeye_s"] += seconds
            found["pytorch_s"] += theirs.seconds()
    summary = {name: {"median": round(statistics.median(s), 4), "fastest": round(min(s), 4)} for name, s in found.items()}
    ratio = {kind: round(summary["mindeye_s"][kind] / summary["pytorch_s"][kind], 3) for kind in ("median", "fastest")}
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    result = {
        "what": "one training step (mixing, backbone, projector, prior, losses, gradients, AdamW), float32, CPU",
        "how": f"in turn, {rounds} rounds of {STEPS} steps each; ours in a fresh process, its first step left out",
        "date": time.strftime("%Y-%m-%d"), "commit": commit, "load_average": os.getloadavg(),
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count(), "threads": THREADS},
        "versions": {"pytorch": torch.__version__, "libtorch": "2.11.0", "tch": "0.24.0"},
        "model": dict(line.split(" = ") for line in MODEL.strip().splitlines()[:9]), "batch": B,
        "parameters": answer["parameters"], "seconds_per_step": summary, "ratio_ours_over_pytorch": ratio}
    with open(out, "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    print(json.dumps(ratio))


if __name__ == "__main__":
    main(*sys.argv[1:])
