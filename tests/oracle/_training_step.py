"""Times MindEye's training step in PyTorch and prints JSON: the peer of trainer/examples/training_step.rs.

    python _training_step.py --model FILE|mindeye1-subj01 --batch 8 --steps 5 [--device cuda:0] [--precision bf16] [--fused]
    python _training_step.py --check exporter/tests/fixtures/tiny_prior.safetensors

The same networks, losses, optimiser, flags and answer; weights and data are random numbers, made in place. Written as
PyTorch's users write it: modules, autocast around the networks (losses outside, in float32), `loss.backward()`,
`torch.optim.AdamW` with its defaults (`--fused` for its one-kernel variant), gradients set to none. The prior's layers
are those of dalle2-pytorch 1.15.6 written once more, so that nothing but torch is needed; `--check` holds them to its
answers (that alone needs safetensors).
"""

import argparse
import json
import math
import pathlib
import resource
import subprocess
import time
import tomllib

import torch
import torch.nn.functional as F
from torch import nn

PRESETS = pathlib.Path(__file__).parents[2] / "config" / "model"
TIMESTEPS, STEPS_PER_EPOCH, EPOCHS = 100, 276, 240


class Backbone(nn.Module):
    def __init__(self, m):
        super().__init__()
        h, t, d, p = m["hidden"], m["tokens"], m["token_dim"], m["projector_hidden"]
        block = lambda inner, share: nn.Sequential(nn.Linear(inner, h), nn.LayerNorm(h), nn.GELU(), nn.Dropout(share))
        self.lin0, self.lin1, self.shape = block(m["voxels"], 0.5), nn.Linear(h, t * d), (-1, t, d)
        self.mlp = nn.ModuleList([block(h, 0.15) for _ in range(m["blocks"])])
        layers = []
        for inner, out in ((d, p), (p, p), (p, d)):
            layers += [nn.LayerNorm(inner), nn.GELU(), nn.Linear(inner, out)]
        self.projector = nn.Sequential(*layers)

    def forward(self, x):
        x = self.lin0(x)
        for block in self.mlp:
            x = block(x) + x
        tokens = self.lin1(x).view(self.shape)
        return tokens, self.projector(tokens)


class GainNorm(nn.Module):
    def __init__(self, d, stable=False):
        super().__init__()
        self.g, self.stable = nn.Parameter(torch.ones(d)), stable

    def forward(self, x):
        if self.stable:
            x = x / x.amax(dim=-1, keepdim=True).detach()
        variance, mean = x.var(dim=-1, unbiased=False, keepdim=True), x.mean(dim=-1, keepdim=True)
        return (x - mean) * (variance + 1e-5).rsqrt() * self.g


class Rotary(nn.Module):
    """Frequencies that no training moves, stored in every layer."""

    def __init__(self, d):
        super().__init__()
        self.freqs = nn.Parameter(10_000 ** -(torch.arange(0, d, 2).float() / d), requires_grad=False)

    def forward(self, x):
        angles = torch.outer(torch.arange(x.shape[-2], device=x.device).float(), self.freqs).repeat_interleave(2, -1)
        turned, rest = x[..., : angles.shape[-1]], x[..., angles.shape[-1] :]
        a, b = turned.unflatten(-1, (-1, 2)).unbind(-1)
        swapped = torch.stack((-b, a), -1).flatten(-2)
        return torch.cat((turned * angles.cos() + swapped * angles.sin(), rest), -1)


class Attention(nn.Module):
    """dalle2-pytorch's: cosine similarity, one key and value for all heads, a learned null key."""

    def __init__(self, d, heads, width, rotary):
        super().__init__()
        self.heads, self.norm, self.rotary_emb = heads, GainNorm(d), rotary
        self.null_kv = nn.Parameter(torch.randn(2, width))
        self.to_q, self.to_kv = nn.Linear(d, heads * width, bias=False), nn.Linear(d, 2 * width, bias=False)
        self.to_out = nn.Sequential(nn.Linear(heads * width, d, bias=False), GainNorm(d))

    def forward(self, x, bias):
        b, n, _ = x.shape
        x = self.norm(x)
        q = self.to_q(x).view(b, n, self.heads, -1).transpose(1, 2)
        k, v = self.to_kv(x).chunk(2, -1)
        q, k = self.rotary_emb(q), self.rotary_emb(k)
        null_k, null_v = (null.expand(b, 1, -1) for null in self.null_kv)
        k, v = torch.cat((null_k, k), 1), torch.cat((null_v, v), 1)
        q, k = F.normalize(q, dim=-1) * 4, F.normalize(k, dim=-1) * 4
        scores = torch.einsum("bhid,bjd->bhij", q, k) + bias
        shares = scores.softmax(-1, dtype=torch.float32).type(scores.dtype)
        mixed = torch.einsum("bhij,bjd->bhid", shares, v)
        return self.to_out(mixed.transpose(1, 2).reshape(b, n, -1))


class SwiGLU(nn.Module):
    def forward(self, x):
        x, gate = x.chunk(2, -1)
        return x * F.silu(gate)


def bucket(distance):
    """Bucket of a key this far before its query; all that follow it have bucket 0."""
    if distance < 16:
        return max(distance, 0)
    return min(16 + int(math.log(distance / 16) / math.log(128 / 16) * 16), 31)


class Prior(nn.Module):
    def __init__(self, m):
        super().__init__()
        d, self.tokens = m["token_dim"], m["tokens"]
        n, heads, width = 2 * self.tokens + 1, m["prior_heads"], m["prior_head_dim"]
        part = lambda inner, out: nn.Sequential(nn.Linear(inner, out), nn.SiLU())
        mlp = nn.Module()
        mlp.net = nn.Sequential(part(d, 2 * d), part(2 * d, 2 * d), nn.Linear(2 * d, d))
        self.to_time_embeds = nn.Sequential(nn.Sequential(nn.Identity(), mlp))
        self.learned_query = nn.Parameter(torch.randn(self.tokens, d) * d**-0.5)
        self.null_brain_embeds = nn.Parameter(torch.randn(self.tokens, d))  # for dropped conditions, of which this
        self.null_image_embed = nn.Parameter(torch.randn(self.tokens, d))  # step has none
        transformer = self.causal_transformer = nn.Module()
        transformer.rel_pos_bias = nn.Module()
        transformer.rel_pos_bias.relative_attention_bias = nn.Embedding(32, heads)
        rotary = Rotary(min(32, width))
        feed_forward = lambda: nn.Sequential(
            GainNorm(d), nn.Linear(d, 8 * d, bias=False), SwiGLU(), nn.Identity(), nn.Identity(),
            nn.Linear(4 * d, d, bias=False))
        layer = lambda: nn.ModuleList([Attention(d, heads, width, rotary), feed_forward()])
        transformer.layers = nn.ModuleList([layer() for _ in range(m["prior_depth"])])
        transformer.norm, transformer.project_out = GainNorm(d, stable=True), nn.Linear(d, d, bias=False)
        pairs = torch.tensor([[bucket(i - j) for j in range(n + 1)] for i in range(n)])
        self.register_buffer("buckets", pairs, persistent=False)

    def time(self, timestep, d):
        frequencies = torch.exp(torch.arange(d // 2, device=timestep.device) * -(math.log(10_000) / max(d // 2 - 1, 1)))
        angles = timestep[:, None] * frequencies[None]
        return self.to_time_embeds[0][1].net(torch.cat((angles.sin(), angles.cos()), -1))[:, None]

    def forward(self, noised, timestep, brain):
        transformer = self.causal_transformer
        x = torch.cat((brain, self.time(timestep, brain.shape[-1]), noised + self.learned_query), 1)
        bias = transformer.rel_pos_bias.relative_attention_bias(self.buckets).permute(2, 0, 1)
        for attention, feed_forward in transformer.layers:
            x = attention(x, bias) + x
            x = feed_forward(x) + x
        return transformer.project_out(transformer.norm(x))[:, -self.tokens :]


def kept_signal():
    f = lambda t: math.cos((t / TIMESTEPS + 0.008) / 1.008 * math.pi / 2) ** 2
    betas = [min(max(1 - f(t + 1) / f(t), 0), 0.999) for t in range(TIMESTEPS)]
    return torch.cumprod(1 - torch.tensor(betas, dtype=torch.float64), 0).float()


class Step:
    def __init__(self, m, a):
        self.device, self.batch, self.d = torch.device(a.device), a.batch, m["token_dim"]
        self.half = torch.bfloat16 if a.precision == "bf16" else None
        torch.manual_seed(0)
        self.model = nn.ModuleDict({"voxel2clip": Backbone(m), "net": Prior(m)}).to(self.device).train()
        named = [(k, p) for k, p in self.model.named_parameters() if p.requires_grad]
        groups = [{"params": [p for k, p in named if "bias" not in k], "weight_decay": 1e-2},
                  {"params": [p for k, p in named if "bias" in k], "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=3e-4, fused=a.fused or None)
        self.cycle = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, max_lr=3e-4, total_steps=EPOCHS * STEPS_PER_EPOCH, final_div_factor=1000, pct_start=2 / EPOCHS)
        self.voxels = torch.randn(self.batch, m["voxels"], device=self.device)
        self.target = torch.randn(self.batch, m["tokens"], self.d, device=self.device)
        self.kept = kept_signal().to(self.device)
        self.beta = torch.distributions.Beta(0.15, 0.15)

    def networks(self, function, *inputs):
        with torch.autocast(self.device.type, dtype=self.half or torch.bfloat16, enabled=self.half is not None):
            return function(*inputs)

    def run(self):
        b, device = self.batch, self.device
        partner, lam = torch.randperm(b).to(device), self.beta.sample((b,)).to(device)
        lam[torch.rand(b, device=device) < 0.5] = 1.0
        weights = torch.diag(lam)
        weights[torch.arange(b, device=device), partner] = 1 - lam
        mixed = self.voxels * lam[:, None] + self.voxels[partner] * (1 - lam[:, None])
        tokens, projected = self.networks(self.model["voxel2clip"], mixed)
        p = F.normalize(projected.float().flatten(1), dim=-1)
        t = F.normalize(self.target.flatten(1), dim=-1)
        scores = p @ t.T / 0.006
        there, back = (weights * scores.log_softmax(-1)).sum(-1).mean(), (weights.T * scores.T.log_softmax(-1)).sum(-1).mean()
        steps, clean = torch.randint(0, TIMESTEPS, (b,), device=device), self.target * self.d**0.5
        kept = self.kept[steps].view(-1, 1, 1)
        noised = clean * kept.sqrt() + torch.randn_like(clean) * (1 - kept).sqrt()
        predicted = self.networks(self.model["net"], noised, steps.float(), tokens.float())
        total = -(there + back) / 2 + 30 * F.mse_loss(predicted.float(), clean)
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        self.optimiser.step()
        self.cycle.step()
        return total.item()  # waits for the whole step, as ours does


def device_memory_gb(device):
    if device.type != "cuda":
        return None
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", f"--id={device.index or 0}"]
    try:
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) * 2**20 / 1e9
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None


def timed(a):
    torch.set_num_threads(a.threads)
    file = pathlib.Path(a.model)
    m = tomllib.loads((file if file.is_file() else PRESETS / f"{a.model}.toml").read_text())
    before = device_memory_gb(torch.device(a.device))
    step, seconds, losses = Step(m, a), [], []
    for _ in range(a.steps):
        began = time.perf_counter()
        losses.append(step.run())
        seconds.append(time.perf_counter() - began)
    now = device_memory_gb(step.device)
    answer = {
        "parameters": sum(p.numel() for p in step.model.parameters()), "batch": a.batch, "device": a.device,
        "precision": a.precision, "fused": a.fused, "torch": torch.__version__, "step_s": seconds, "loss": losses,
        "peak_rss_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        "device_gb": now - before if now is not None and before is not None else None}
    if step.device.type == "cuda":
        answer["device_allocated_gb"] = torch.cuda.max_memory_allocated(step.device) / 1e9
    print(json.dumps(answer))


def check(fixture):
    from safetensors.torch import load_file

    tensors = load_file(fixture)
    inputs = [tensors[f"io.{k}"] for k in ("noised_tokens", "timestep", "brain_tokens")]
    prior = Prior({"token_dim": inputs[0].shape[2], "tokens": inputs[0].shape[1], "prior_heads": 3, "prior_head_dim": 40,
                   "prior_depth": 2})
    weights = {k.removeprefix("w.net."): v for k, v in tensors.items() if k.startswith("w.net.")}
    prior.load_state_dict(weights)
    off = (prior(*inputs) - tensors["io.predicted_tokens"]).abs().max().item()
    print(f"largest difference to dalle2-pytorch's answer: {off:.2e}")
    assert off < 1e-5, off


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", metavar="FIXTURE")
    parser.add_argument("--model", default="mindeye1-subj01")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--fused", action="store_true")
    arguments = parser.parse_args()
    check(arguments.check) if arguments.check else timed(arguments)
