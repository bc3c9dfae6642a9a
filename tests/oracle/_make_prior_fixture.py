"""Writes exporter/tests/fixtures/tiny_prior.safetensors: dalle2-pytorch's own layers as MindEye's diffusion prior.

    python _make_prior_fixture.py OUT.safetensors

Attention, feed-forward, position bias, time embedding, final norm and noise schedule are dalle2-pytorch's classes as
they are; only what MindEye wrote itself is written here: the order of the tokens (brain, time, noised image plus its
positions) and the transformer without a causal mask. Sizes are small and all different; 70 image tokens make the
sequence long enough for every bucket of the position bias. Weights `w.*`, inputs and output `io.*`.

Needs: pip install torch einops tqdm rotary-embedding-torch==0.2.3, and dalle2-pytorch==1.15.6 with --no-deps.
"""

import importlib.util
import sys
import types
from unittest import mock

# The package imports its picture networks' dependencies before its prior; the prior uses none of them.
UNUSED = ("torchvision", "torchvision.transforms", "kornia", "kornia.filters", "kornia.augmentation", "resize_right")
UNUSED += ("x_clip", "coca_pytorch", "dalle2_pytorch.tokenizer", "dalle2_pytorch.vqgan_vae")
for name in UNUSED:
    sys.modules[name] = mock.MagicMock()
package = types.ModuleType("dalle2_pytorch")
package.__path__ = importlib.util.find_spec("dalle2_pytorch").submodule_search_locations
sys.modules["dalle2_pytorch"] = package

import torch
from dalle2_pytorch import dalle2_pytorch as origin
from rotary_embedding_torch import RotaryEmbedding
from safetensors.torch import save_file

DIM, DEPTH, HEADS, HEAD_DIM, TOKENS, BATCH, STEPS = 20, 2, 3, 40, 70, 2, 100


class Transformer(torch.nn.Module):
    """MindEye's copy of CausalTransformer, whose flag turns the causal mask off."""

    def __init__(self):
        super().__init__()
        self.rel_pos_bias = origin.RelPosBias(heads=HEADS)
        rotary = RotaryEmbedding(dim=min(32, HEAD_DIM))
        sizes = {"dim": DIM, "dim_head": HEAD_DIM, "heads": HEADS, "causal": False, "rotary_emb": rotary}
        layer = lambda: torch.nn.ModuleList([origin.Attention(**sizes), origin.FeedForward(dim=DIM)])
        self.layers = torch.nn.ModuleList([layer() for _ in range(DEPTH)])
        self.norm = origin.LayerNorm(DIM, stable=True)
        self.project_out = torch.nn.Linear(DIM, DIM, bias=False)

    forward = origin.CausalTransformer.forward
    init_norm = staticmethod(lambda x: x)


class Prior(torch.nn.Module):
    """MindEye's VersatileDiffusionPriorNetwork with `learned_query_mode = "pos_emb"` and nothing dropped."""

    def __init__(self):
        super().__init__()
        time = torch.nn.Sequential(origin.SinusoidalPosEmb(DIM), origin.MLP(DIM, DIM))
        self.to_time_embeds = torch.nn.Sequential(time)
        self.learned_query = torch.nn.Parameter(torch.randn(TOKENS, DIM) * DIM**-0.5)
        self.null_brain_embeds = torch.nn.Parameter(torch.randn(TOKENS, DIM))
        self.null_image_embed = torch.nn.Parameter(torch.randn(TOKENS, DIM))
        self.causal_transformer = Transformer()

    def forward(self, noised, timestep, brain):
        time = self.to_time_embeds(timestep)[:, None]
        tokens = torch.cat((brain, time, noised + self.learned_query), dim=1)
        return self.causal_transformer(tokens)[:, -TOKENS:]


def main(out):
    torch.manual_seed(0)
    prior = Prior().eval()
    with torch.no_grad():
        for name, parameter in prior.named_parameters():
            if name.endswith(".g"):  # all ones at the start: a gain left out would go unnoticed
                parameter.add_(0.1 * torch.randn_like(parameter))
    noised, brain = torch.randn(2, BATCH, TOKENS, DIM)
    timestep = torch.tensor([7.0, 94.0])
    with torch.no_grad():
        predicted = prior(noised, timestep, brain)
    schedule = origin.NoiseScheduler(beta_schedule="cosine", timesteps=STEPS, loss_type="l2")
    tensors = {f"w.net.{key}": value.clone() for key, value in prior.state_dict(keep_vars=False).items()}
    tensors |= {f"w.noise_scheduler.{key}": value.clone() for key, value in schedule.state_dict().items()}
    tensors |= {"io.noised_tokens": noised, "io.timestep": timestep, "io.brain_tokens": brain}
    tensors |= {"io.predicted_tokens": predicted}
    save_file({k: v.contiguous() for k, v in tensors.items()}, out, {"made_with": f"dalle2-pytorch 1.15.6 torch {torch.__version__}"})


if __name__ == "__main__":
    main(sys.argv[1])
