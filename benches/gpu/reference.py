"""The same reconstruction in PyTorch on the same GPU: what a careful Python program takes.

    python reference.py OUT.json [--compile] [--patience S] [--go FILE] [--runs N]

Networks of published size with random weights, half precision, channels last: MindEye's backbone with projector, its
prior (19 DDIM evaluations), diffusers' image UNet of Stable Diffusion 1 with MindEye's 257 tokens (17 guided steps, both
branches in one batch) and VAE decoder. `--compile`: torch.compile in mode max-autotune, which captures CUDA graphs;
without it the networks run eagerly. A step of a sampler is one fused multiply-add over the tensors it mixes, so that
neither side is charged for a scheduler's Python. Reports every network alone, the whole, the card's measured peak
(8192^3 half-precision product) and bandwidth (device-to-device copy, read plus written), and memory.

Autotuning takes ten minutes and more. A network whose turn comes after `--patience` seconds is compiled in mode
reduce-overhead instead, and the report says which was how. `--go`: compile first, make FILE.ready, and measure once FILE
exists, so that another program can be measured at the same time of day.
"""

import argparse
import json
import math
import pathlib
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

VOXELS, HIDDEN, TOKENS, DIM, PROJECTOR = 15724, 4096, 257, 768, 2048
DEPTH, HEADS, HEAD = 6, 12, 64
PRIOR_STEPS, UNET_STEPS, GUIDANCE = 19, 17, 3.5


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        block = lambda inner: nn.Sequential(nn.Linear(inner, HIDDEN), nn.LayerNorm(HIDDEN), nn.GELU())
        self.lin0, self.lin1 = block(VOXELS), nn.Linear(HIDDEN, TOKENS * DIM)
        self.mlp = nn.ModuleList([block(HIDDEN) for _ in range(4)])
        widths = [DIM, PROJECTOR, PROJECTOR, DIM]
        layers = [[nn.LayerNorm(a), nn.GELU(), nn.Linear(a, b)] for a, b in zip(widths, widths[1:])]
        self.projector = nn.Sequential(*sum(layers, []))

    def forward(self, voxels):
        x = self.lin0(voxels)
        for block in self.mlp:
            x = x + block(x)
        tokens = self.lin1(x).reshape(-1, TOKENS, DIM)
        return tokens, self.projector(tokens)


class Gain(nn.Module):
    """Layer norm with a gain and no offset."""

    def __init__(self):
        super().__init__()
        self.g = nn.Parameter(torch.ones(DIM))

    def forward(self, x):
        return F.layer_norm(x, (DIM,), self.g)


class Layer(nn.Module):
    """One layer of the prior: cosine attention with one shared key and value head, then SwiGLU."""

    def __init__(self, n):
        super().__init__()
        self.norm, self.out_norm, self.fed_norm = Gain(), Gain(), Gain()
        self.to_q, self.to_kv = nn.Linear(DIM, HEADS * HEAD, bias=False), nn.Linear(DIM, 2 * HEAD, bias=False)
        self.null_kv = nn.Parameter(torch.randn(2, HEAD))
        self.to_out = nn.Linear(HEADS * HEAD, DIM, bias=False)
        self.wide, self.narrow = nn.Linear(DIM, 8 * DIM, bias=False), nn.Linear(4 * DIM, DIM, bias=False)
        angles = torch.arange(n)[:, None] * 10000 ** (-torch.arange(0, 32, 2) / 32)[None]
        self.register_buffer("cos", angles.cos().repeat_interleave(2, -1))
        self.register_buffer("sin", angles.sin().repeat_interleave(2, -1))

    def turn(self, x):
        still, rest = x[..., :32], x[..., 32:]
        pairs = still.unflatten(-1, (16, 2))
        quarter = torch.stack((-pairs[..., 1], pairs[..., 0]), -1).flatten(-2)
        return torch.cat((still * self.cos + quarter * self.sin, rest), -1)

    def forward(self, x, bias):
        normed = self.norm(x)
        q = self.turn(self.to_q(normed).unflatten(-1, (HEADS, HEAD)).transpose(1, 2))
        k, v = self.to_kv(normed).chunk(2, -1)
        k = torch.cat((self.null_kv[0].expand(len(x), 1, HEAD), self.turn(k)), 1)
        v = torch.cat((self.null_kv[1].expand(len(x), 1, HEAD), v), 1)
        q, k = F.normalize(q.float(), dim=-1).to(x) * 4, F.normalize(k.float(), dim=-1).to(x) * 4
        shape = (len(x), HEADS, -1, HEAD)
        mixed = F.scaled_dot_product_attention(q, k[:, None].expand(shape), v[:, None].expand(shape), bias, scale=1.0)
        x = x + self.out_norm(self.to_out(mixed.transpose(1, 2).flatten(2)))
        value, gate = self.wide(self.fed_norm(x)).chunk(2, -1)
        return x + self.narrow(value * F.silu(gate))


class Prior(nn.Module):
    def __init__(self):
        super().__init__()
        n = 2 * TOKENS + 1
        self.time = nn.Sequential(
            nn.Linear(DIM, 2 * DIM), nn.SiLU(), nn.Linear(2 * DIM, 2 * DIM), nn.SiLU(), nn.Linear(2 * DIM, DIM)
        )
        self.query = nn.Parameter(torch.randn(TOKENS, DIM) * DIM**-0.5)
        self.layers = nn.ModuleList([Layer(n) for _ in range(DEPTH)])
        # Rows padded to a multiple of 8, which the fused attention kernels ask of a bias.
        self.register_buffer("bias", torch.randn(1, HEADS, n, (n + 8) // 8 * 8)[..., : n + 1])
        self.register_buffer("waves", torch.exp(-math.log(10000) * torch.arange(384) / 383))
        self.norm, self.out = Gain(), nn.Linear(DIM, DIM, bias=False)

    def forward(self, noised, timestep, brain):
        angles = timestep.float()[:, None] * self.waves.float()
        time_token = self.time(torch.cat((angles.sin(), angles.cos()), -1).to(noised))[:, None]
        x = torch.cat((brain, time_token, noised + self.query), 1)
        for layer in self.layers:
            x = layer(x, self.bias)
        x = self.norm(x / x.amax(-1, keepdim=True))
        return self.out(x[:, -TOKENS:])


def networks():
    from diffusers import AutoencoderKL, UNet2DConditionModel

    blocks = {"down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4}
    vae = AutoencoderKL(**blocks, block_out_channels=[128, 256, 512, 512], layers_per_block=2, latent_channels=4)
    unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=DIM)
    ready = lambda net: net.eval().requires_grad_(False).half().cuda().to(memory_format=torch.channels_last)
    unet, vae = ready(unet), ready(vae)
    plain = lambda net: net.eval().requires_grad_(False).half().cuda()
    return {
        "unet": lambda sample, timestep, tokens: unet(sample, timestep, tokens, return_dict=False)[0],
        "vae-decoder": lambda latent: vae.decode(latent, return_dict=False)[0],
        "prior": plain(Prior()),
        "backbone": plain(Backbone()),
    }


def inputs():
    random = lambda *shape: torch.randn(*shape, device="cuda", dtype=torch.half)
    last = lambda x: x.contiguous(memory_format=torch.channels_last)
    step = lambda t, n: torch.full((n,), float(t), device="cuda")
    return {
        "backbone": (random(1, VOXELS),),
        "prior": (random(1, TOKENS, DIM), step(57, 1), random(1, TOKENS, DIM)),
        "unet": (last(random(2, 4, 64, 64)), step(500, 2), random(2, TOKENS, DIM)),
        "vae-decoder": (last(random(1, 4, 64, 64)),),
    }


def reconstruct(nets, given):
    """One trial: voxels on the host to the picture's bytes on the host."""
    voxels, start = given["voxels"].cuda(non_blocking=True), given["start"]
    tokens, retrieval = nets["backbone"](voxels)
    tokens = tokens.clone()
    x = given["noise"]
    for i in range(PRIOR_STEPS):
        predicted = nets["prior"](x, given["prior_times"][i], tokens)
        x = 0.5 * x + 0.4 * predicted + 0.1 * given["noise"]
    both = torch.cat((torch.zeros_like(x), x))
    sample, last = start, torch.zeros_like(start)
    for i in range(UNET_STEPS):
        noise = nets["unet"](torch.cat((sample, sample)), given["unet_times"][i], both)
        guided = noise[:1] + GUIDANCE * (noise[1:] - noise[:1])
        prediction = 1.1 * sample - 0.2 * guided
        sample, last = 0.9 * sample - 0.1 * guided + 0.01 * last, prediction
    image = nets["vae-decoder"](sample / 0.18215)
    pixels = (image.float().clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8)
    return pixels.cpu(), retrieval.cpu()


def trial():
    random = lambda *shape: torch.randn(*shape, device="cuda", dtype=torch.half)
    step = lambda t, n: torch.full((n,), float(t), device="cuda")
    return {
        "voxels": torch.randn(1, VOXELS, dtype=torch.half).pin_memory(),
        "noise": random(1, TOKENS, DIM),
        "start": random(1, 4, 64, 64).contiguous(memory_format=torch.channels_last),
        "prior_times": [step(94 - 5 * i, 1) for i in range(PRIOR_STEPS)],
        "unet_times": [step(950 - 50 * i, 2) for i in range(UNET_STEPS)],
    }


def figures(run, runs, warm=5):
    taken = []
    for i in range(warm + runs):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        run()
        torch.cuda.synchronize()
        if i >= warm:
            taken.append(1e3 * (time.perf_counter() - begun))
    taken.sort()
    at = lambda share: taken[min(len(taken), max(1, math.ceil(share * len(taken)))) - 1]
    return {"n": runs, "p50_ms": at(0.5), "p95_ms": at(0.95), "p99_ms": at(0.99), "max_ms": at(1.0)}


def card():
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.half) for _ in range(2))
    product = figures(lambda: a @ b, 20)["p50_ms"]
    x = torch.empty(1 << 30, device="cuda", dtype=torch.uint8)
    y = torch.empty_like(x)
    copy = figures(lambda: y.copy_(x), 20)["p50_ms"]
    return {
        "name": torch.cuda.get_device_name(),
        "peak_tflops": 2 * 8192**3 / product / 1e9,
        "bandwidth_gb_s": 2 * (1 << 30) / copy / 1e6,
        "torch": torch.__version__,
    }


def wait_for(go):
    if go is None:
        return
    go.with_suffix(".ready").touch()
    while not go.exists():
        time.sleep(0.1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--patience", type=float, default=math.inf)
    parser.add_argument("--go", type=pathlib.Path)
    parser.add_argument("--runs", type=int, default=50)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    report = {"mode": "torch.compile" if arguments.compile else "eager", "networks": {}}
    nets, given = networks(), inputs()
    begun = time.perf_counter()
    with torch.inference_mode():
        for name in list(nets):
            mode = "max-autotune" if time.perf_counter() - begun < arguments.patience else "reduce-overhead"
            if arguments.compile:
                nets[name] = torch.compile(nets[name], mode=mode)
            for _ in range(3):
                nets[name](*given[name])
            report["networks"][name] = {"mode": mode if arguments.compile else "eager"}
            print(name, mode, round(time.perf_counter() - begun, 1), "s", file=sys.stderr, flush=True)
        of_trial = trial()
        reconstruct(nets, of_trial)
        wait_for(arguments.go)
        report["card"] = card()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        for name, net in nets.items():
            report["networks"][name] |= figures(lambda: net(*given[name]), arguments.runs)
        report["reconstruction"] = figures(lambda: reconstruct(nets, of_trial), arguments.runs)
    report["memory_mib"] = torch.cuda.max_memory_allocated() / 2**20
    free, total = torch.cuda.mem_get_info()
    report["memory_in_use_mib"] = (total - free) / 2**20
    report["took_s"] = time.perf_counter() - begun
    print(json.dumps(report, indent=1))
    with open(arguments.out, "w") as file:
        json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()
