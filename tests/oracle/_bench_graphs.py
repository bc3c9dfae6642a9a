"""Times every demo network as an exported graph on the CPU against PyTorch's eager forward of the same network.

    python _bench_graphs.py EXPORTER OUT.json [NETWORK...]

EXPORTER is the `mindeye-export` program. Each network is built in PyTorch at demo size with random weights, saved as its
origin saves it, exported, and held to PyTorch's answer; then both run in turns, a graph and a forward at a time, on the
same two threads of one process, so that a busy machine disturbs both alike. Reported are the median and the best of each
and their ratios: below 1, the graph is faster. Neither side's threads spin while they wait: on a shared machine that
costs PyTorch two orders of magnitude. Needs: pip install torch diffusers transformers onnxruntime, and for the prior what
_make_prior_fixture.py needs.
"""

import os

os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}

import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy
import onnxruntime
import torch
from safetensors.torch import save_file
from torch import nn

THREADS = 2
ROUNDS = 40
# Largest difference on outputs of order one, as for every graph.
LARGEST = 1e-4


class Backbone(nn.Module):
    """MindEye's residual MLP with its projector, demo size."""

    def __init__(self, voxels=4000, hidden=512, tokens=17, dim=64, projector=128):
        super().__init__()
        self.shape = (tokens, dim)
        block = lambda inner: nn.Sequential(nn.Linear(inner, hidden), nn.LayerNorm(hidden), nn.GELU())
        self.lin0, self.lin1 = block(voxels), nn.Linear(hidden, tokens * dim)
        self.mlp = nn.ModuleList([block(hidden) for _ in range(4)])
        widths = [dim, projector, projector, dim]
        layers = [[nn.LayerNorm(a), nn.GELU(), nn.Linear(a, b)] for a, b in zip(widths, widths[1:])]
        self.projector = nn.Sequential(*sum(layers, []))

    def forward(self, voxels):
        x = self.lin0(voxels)
        for block in self.mlp:
            x = x + block(x)
        tokens = self.lin1(x).reshape(-1, *self.shape)
        return tokens, self.projector(tokens)


class LowLevel(nn.Module):
    """MindEye's low-level network: an MLP without biases, and diffusers' decoder as the upsampler, demo size."""

    def __init__(self, voxels=4000, hidden=256, channels=32, side=2):
        super().__init__()
        from diffusers.models.autoencoders.vae import Decoder

        self.shape = (channels, side, side)
        block = lambda inner: nn.Sequential(nn.Linear(inner, hidden, bias=False), nn.LayerNorm(hidden), nn.SiLU())
        self.lin0, self.lin1 = block(voxels), nn.Linear(hidden, channels * side * side, bias=False)
        self.mlp = nn.ModuleList([block(hidden) for _ in range(4)])
        self.norm = nn.GroupNorm(1, channels)
        blocks = ["UpDecoderBlock2D"] * 3
        self.upsampler = Decoder(channels, 4, blocks, (16, 32, 64), layers_per_block=1, norm_num_groups=8)

    def forward(self, voxels):
        x = self.lin0(voxels)
        for block in self.mlp:
            x = x + block(x)
        return self.upsampler(self.norm(self.lin1(x).reshape(-1, *self.shape)))


def backbone(folder):
    model = Backbone().eval()
    save_file({f"voxel2clip.{k}": v for k, v in model.state_dict().items()}, folder / "model.safetensors")
    voxels = torch.randn(1, 4000)
    return {"voxels": voxels}, lambda: model(voxels)[1], []


def low_level(folder):
    model = LowLevel().eval()
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "low_level.safetensors")
    (folder / "model.toml").write_text("norm_groups = 8\n")
    voxels = torch.randn(1, 4000)
    return {"voxels": voxels}, lambda: model(voxels), []


def unet(folder):
    from diffusers import UNet2DConditionModel

    down, up = ["CrossAttnDownBlock2D"] * 2 + ["DownBlock2D"], ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 2
    sizes = {"block_out_channels": (32, 64, 64), "layers_per_block": 1, "cross_attention_dim": 64}
    kinds = {"down_block_types": down, "up_block_types": up, "attention_head_dim": 2, "norm_num_groups": 8}
    model = UNet2DConditionModel(sample_size=8, **sizes, **kinds).eval()
    model.save_pretrained(folder)
    sample, tokens, timestep = torch.randn(2, 4, 8, 8), torch.randn(2, 17, 64), torch.tensor([849.0, 849.0])
    inputs = {"sample": sample, "timestep": timestep, "encoder_hidden_states": tokens}
    return inputs, lambda: model(sample, timestep, tokens).sample, ["--batch", "2", "--tokens", "17"]


def vae(folder):
    from diffusers import AutoencoderKL

    kinds = {"down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4}
    channels = [16, 32, 64, 64]
    model = AutoencoderKL(**kinds, block_out_channels=channels, norm_num_groups=8, sample_size=64).eval()
    model.save_pretrained(folder)
    return model


def vae_decoder(folder):
    model, latent = vae(folder), torch.randn(1, 4, 8, 8)
    return {"latent": latent}, lambda: model.decode(latent).sample, []


def vae_encoder(folder):
    model, image = vae(folder), torch.rand(1, 3, 64, 64) * 2 - 1
    return {"image": image}, lambda: model.encode(image).latent_dist.parameters, []


def taesd(folder):
    from diffusers import AutoencoderTiny

    channels, blocks = (16,) * 4, (1,) * 4
    kinds = {"encoder_block_out_channels": channels, "decoder_block_out_channels": channels}
    model = AutoencoderTiny(**kinds, num_encoder_blocks=blocks, num_decoder_blocks=blocks).eval()
    model.save_pretrained(folder)
    return model


def taesd_decoder(folder):
    model, latent = taesd(folder), torch.randn(1, 4, 8, 8)
    return {"latent": latent}, lambda: (model.decode(latent).sample + 1) / 2, ["--latent-size", "8"]


def taesd_encoder(folder):
    model, image = taesd(folder), torch.rand(1, 3, 64, 64)
    return {"image": image}, lambda: model.encode(image * 2 - 1).latents, ["--latent-size", "8"]


def clip_image(folder):
    from _make_clip_fixture import image_tokens
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = CLIPVisionModelWithProjection(CLIPVisionConfig(**sizes, image_size=32, patch_size=8, projection_dim=64)).eval()
    model.save_pretrained(folder)
    pixels = torch.randn(1, 3, 32, 32)
    return {"pixel_values": pixels}, lambda: image_tokens(model, pixels), []


def prior(folder):
    import _make_prior_fixture as origin

    origin.DIM, origin.DEPTH, origin.HEADS, origin.HEAD_DIM, origin.TOKENS = 64, 2, 2, 32, 17
    model = origin.Prior().eval()
    save_file({f"net.{k}": v.clone().contiguous() for k, v in model.state_dict().items()}, folder / "model.safetensors")
    noised, brain = torch.randn(2, 1, 17, 64)
    timestep = torch.tensor([57.0])
    inputs = {"noised_tokens": noised, "timestep": timestep, "brain_tokens": brain}
    return inputs, lambda: model(noised, timestep, brain), []


# The prior last: its script hides packages that others look for.
NETWORKS = {
    "backbone": backbone,
    "low-level": low_level,
    "unet": unet,
    "vae-decoder": vae_decoder,
    "vae-encoder": vae_encoder,
    "taesd-decoder": taesd_decoder,
    "taesd-encoder": taesd_encoder,
    "clip-image": clip_image,
    "prior": prior,
}


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    # As in the product: a thread that waits does not spin, or it would take the other side's core.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options)


def timed(call):
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e3


def bench(exporter, name):
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        torch.manual_seed(0)
        inputs, forward, flags = NETWORKS[name](Path(folder))
        out = f"{folder}/graph.onnx"
        command = [exporter, "graph", name, "--model", folder, "--out", out, *flags]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        graph = session(out)
        feeds = {key: value.numpy() for key, value in inputs.items()}
        run = lambda: graph.run(None, feeds)
        largest = float(numpy.abs(run()[-1] - forward().numpy()).max())
        for _ in range(5):
            run(), forward()
        pairs = [(timed(run), timed(forward)) for _ in range(ROUNDS)]
    row = {"network": name, "largest_difference": largest}
    for what, of in (("median", statistics.median), ("best", min)):
        ours, theirs = (of(side) for side in zip(*pairs))
        row |= {f"graph_{what}_ms": ours, f"pytorch_{what}_ms": theirs, f"{what}_ratio": ours / theirs}
    print(json.dumps(row), flush=True)
    return row


def main(arguments):
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 64
    exporter, out, *names = arguments
    torch.set_num_threads(THREADS)
    rows = [bench(exporter, name) for name in NETWORKS if not names or name in names]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    report = {
        "what": "every demo network, float32, one evaluation on the CPU: exported graph in ONNX Runtime against PyTorch's eager forward of the same weights",
        "how": f"tests/oracle/_bench_graphs.py: in turns in one process, {THREADS} threads each, median and best of {ROUNDS} after 5 for warming up",
        "note": f"a shared machine (load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores while it ran): compare the ratios",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "commit": commit,
        "date": str(date.today()),
        "versions": {"onnxruntime": onnxruntime.__version__, "torch": torch.__version__},
        "rows": rows,
    }
    Path(out).write_text(json.dumps(report, indent=1) + "\n")
    return 0 if all(row["largest_difference"] <= LARGEST for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
