"""Writes exporter/tests/fixtures/tiny_clip.safetensors: transformers' CLIPVisionModelWithProjection on random weights.

    python _make_clip_fixture.py OUT.safetensors

The image tokens are those of MindEye: post_layernorm and visual_projection on every token of the last hidden state, all
divided by the length of token 0. Once with `quick_gelu` and once with `gelu`. Weights `w.*`, inputs and outputs `io.*`,
the configuration in the header's metadata. Needs: pip install torch transformers.
"""

import json
import sys

import torch
import transformers
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

SIZES = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 3}
SIZES |= {"image_size": 12, "patch_size": 4, "projection_dim": 14}


def image_tokens(model, pixels):
    hidden = model.vision_model(pixel_values=pixels).last_hidden_state
    tokens = model.visual_projection(model.vision_model.post_layernorm(hidden))
    return tokens / tokens[:, :1].norm(dim=-1, keepdim=True)


def main(out):
    torch.manual_seed(0)
    pixels = torch.randn(2, 3, SIZES["image_size"], SIZES["image_size"])
    tensors = {"io.pixel_values": pixels}
    weights = None
    for act in ("quick_gelu", "gelu"):
        model = CLIPVisionModelWithProjection(CLIPVisionConfig(**SIZES, hidden_act=act)).eval()
        if weights is None:
            weights = {k: v + (0.3 if v.ndim > 1 else 0.1) * torch.randn_like(v) for k, v in model.state_dict().items()}
        model.load_state_dict(weights)
        with torch.no_grad():
            tensors[f"io.image_tokens.{act}"] = image_tokens(model, pixels)
    tensors |= {f"w.{key}": value for key, value in weights.items()}
    config = json.dumps({**SIZES, "hidden_act": "quick_gelu", "model_type": "clip_vision_model"})
    made_with = f"transformers {transformers.__version__} torch {torch.__version__}, random weights"
    save_file({k: v.contiguous() for k, v in tensors.items()}, out, {"config": config, "made_with": made_with})


if __name__ == "__main__":
    main(sys.argv[1])
