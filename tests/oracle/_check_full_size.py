"""Holds exported graphs of published size to PyTorch's answers on the same random weights.

    python _check_full_size.py EXPORTER [unet|prior|clip-image|vae-encoder...]

EXPORTER is the `mindeye-export` program. For each network: random weights as its origin saves them, a graph of them, one
forward pass in PyTorch and one in ONNX Runtime on the CPU. Prints both differences and ends with 1 if one is too large.
Needs 10 GB of memory and as much room for temporary files, and: pip install torch diffusers transformers onnxruntime, and
for the prior what _make_prior_fixture.py needs.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
import onnxruntime
import torch

# Largest difference on outputs of order one, and relative RMS: sums of thousands of float32 products in another order.
LARGEST, RELATIVE_RMS = 1e-4, 1e-5


def unet(folder):
    from diffusers import UNet2DConditionModel

    model = UNet2DConditionModel(sample_size=16, cross_attention_dim=768).eval()
    model.save_pretrained(folder)
    sample, tokens = torch.randn(2, 4, 16, 16), torch.randn(2, 257, 768)
    tokens[0] = 0  # the unconditional half
    timestep = torch.tensor([849.0, 849.0])
    inputs = {"sample": sample, "timestep": timestep, "encoder_hidden_states": tokens}
    return inputs, model(sample, timestep, tokens).sample, ["--batch", "2"]


def clip_image(folder):
    from _make_clip_fixture import image_tokens
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    sizes = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
    model = CLIPVisionModelWithProjection(CLIPVisionConfig(**sizes, patch_size=14, projection_dim=768)).eval()
    model.save_pretrained(folder)
    pixels = torch.randn(1, 3, 224, 224)
    return {"pixel_values": pixels}, image_tokens(model, pixels), []


def vae_encoder(folder):
    from diffusers import AutoencoderKL

    blocks = {"down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4}
    channels = [128, 256, 512, 512]
    model = AutoencoderKL(**blocks, block_out_channels=channels, layers_per_block=2, sample_size=256).eval()
    model.save_pretrained(folder)
    image = torch.rand(1, 3, 256, 256) * 2 - 1
    return {"image": image}, model.encode(image).latent_dist.parameters, []


def prior(folder):
    import _make_prior_fixture as origin
    from safetensors.torch import save_file

    origin.DIM, origin.DEPTH, origin.HEADS, origin.HEAD_DIM, origin.TOKENS = 768, 6, 12, 64, 257
    model = origin.Prior().eval()
    save_file({f"net.{k}": v.clone().contiguous() for k, v in model.state_dict().items()}, folder / "model.safetensors")
    noised, brain = torch.randn(2, 1, 257, 768)
    timestep = torch.tensor([57.0])
    inputs = {"noised_tokens": noised, "timestep": timestep, "brain_tokens": brain}
    return inputs, model(noised, timestep, brain), []


# The prior last: its script hides packages that others look for.
NETWORKS = {"unet": unet, "clip-image": clip_image, "vae-encoder": vae_encoder, "prior": prior}


def check(exporter, name):
    """Whether the graph of network `name` agrees with PyTorch."""
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        torch.manual_seed(0)
        inputs, expected, flags = NETWORKS[name](Path(folder))
        out = f"{folder}/graph.onnx"
        command = [exporter, "graph", name, "--model", folder, "--out", out, *flags]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        session = onnxruntime.InferenceSession(out)
        found = session.run(None, {key: value.numpy() for key, value in inputs.items()})[0]
    expected = expected.numpy()
    largest = float(numpy.abs(found - expected).max())
    relative = float(numpy.sqrt(((found - expected) ** 2).mean() / (expected**2).mean()))
    print(f"{name}: largest difference {largest:.1e}, relative RMS {relative:.1e}", flush=True)
    return largest <= LARGEST and relative <= RELATIVE_RMS


def main(arguments):
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 64
    exporter, *names = arguments
    wanted = names or list(NETWORKS)
    return 0 if all([check(exporter, name) for name in NETWORKS if name in wanted]) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
