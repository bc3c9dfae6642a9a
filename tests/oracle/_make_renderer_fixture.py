"""Writes trainer/tests/fixtures/tiny_renderer.safetensors: losses and gradients of a small renderer's three networks.

    python _make_renderer_fixture.py OUT.safetensors

Autoencoder and UNet are diffusers' AutoencoderKL and UNet2DConditionModel, the encoder is transformers'
CLIPVisionModelWithProjection, with random weights; the losses are written here: L1 and divergence of the autoencoder,
symmetric InfoNCE between two views for the encoder, the noise's mean squared error on diffusers' own schedule for the
UNet. Every random draw is an input. For each network N: weights `N.w.*`, inputs `N.in.*`, `N.loss`, gradients `N.grad.*`,
and the weights after one step of torch.optim.AdamW for one small tensor of each, `N.after.*`.

Needs: pip install torch diffusers==0.31.0 transformers==4.57.1 safetensors.
"""

import sys

import diffusers
import torch
import torch.nn.functional as F
import transformers
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

B, KL_WEIGHT, TEMPERATURE = 3, 1e-2, 0.1
ADAMW = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8}


def vae():
    model = AutoencoderKL(
        block_out_channels=(4, 8), norm_num_groups=2, latent_channels=4, layers_per_block=1, sample_size=8,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2)
    inputs = {"pictures": torch.rand(B, 3, 8, 8) * 2 - 1, "noise": torch.randn(B, 4, 4, 4)}

    def loss(i):
        posterior = model.encode(i["pictures"]).latent_dist
        latents = posterior.mean + posterior.std * i["noise"]
        l1 = F.l1_loss(model.decode(latents).sample, i["pictures"])
        return l1 + KL_WEIGHT * posterior.kl().sum() / latents.numel()

    return model, inputs, loss


def encoder():
    model = CLIPVisionModelWithProjection(CLIPVisionConfig(
        hidden_size=12, intermediate_size=20, num_hidden_layers=2, num_attention_heads=2, image_size=8, patch_size=4,
        projection_dim=10, hidden_act="quick_gelu"))
    inputs = {"one": torch.randn(B, 3, 8, 8), "other": torch.randn(B, 3, 8, 8)}

    def tokens(pixels):
        hidden = model.vision_model(pixel_values=pixels).last_hidden_state
        projected = model.visual_projection(model.vision_model.post_layernorm(hidden))
        return projected / projected[:, :1].norm(dim=-1, keepdim=True)

    def loss(i):
        one, other = (F.normalize(tokens(i[k]).flatten(1), dim=-1) for k in ("one", "other"))
        scores, same = one @ other.T / TEMPERATURE, torch.arange(B)
        return (F.cross_entropy(scores, same) + F.cross_entropy(scores.T, same)) / 2

    return model, inputs, loss


def unet():
    model = UNet2DConditionModel(
        sample_size=4, block_out_channels=(8, 16), layers_per_block=1, cross_attention_dim=6, attention_head_dim=2,
        norm_num_groups=4, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"))
    inputs = {"latents": torch.randn(B, 4, 4, 4), "noise": torch.randn(B, 4, 4, 4), "tokens": torch.randn(B, 5, 6),
              "timestep": torch.tensor([0, 500, 999])}
    inputs["tokens"][1] = 0  # a sample whose condition is left out
    schedule = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000)

    def loss(i):
        noised = schedule.add_noise(i["latents"], i["noise"], i["timestep"])
        return F.mse_loss(model(noised, i["timestep"], i["tokens"]).sample, i["noise"])

    return model, inputs, loss


def main(out):
    torch.manual_seed(0)
    tensors = {}
    for name, make in (("vae", vae), ("encoder", encoder), ("unet", unet)):
        model, inputs, loss = make()
        model.train()  # none of the three has dropout
        with torch.no_grad():
            for parameter in model.parameters():  # away from ones, zeros and small numbers, so that a mistake is noticed
                parameter.add_(0.1 * torch.randn_like(parameter))
        weights = {k: v for k, v in model.state_dict().items() if not k.endswith("position_ids")}
        tensors |= {f"{name}.w.{k}": v.clone() for k, v in weights.items()}
        tensors |= {f"{name}.in.{k}": v.float() for k, v in inputs.items()}
        value = loss(inputs)
        value.backward()
        tensors[f"{name}.loss"] = value.detach()
        named = list(model.named_parameters())
        tensors |= {f"{name}.grad.{k}": p.grad.clone() for k, p in named}
        torch.optim.AdamW([{"params": [p for k, p in named if "bias" not in k], "weight_decay": 1e-2},
                           {"params": [p for k, p in named if "bias" in k], "weight_decay": 0.0}], **ADAMW).step()
        tensors |= {f"{name}.after.{k}": p.detach().clone() for k, p in named if k.endswith("bias") and p.numel() <= 12}
    made_with = f"diffusers {diffusers.__version__} transformers {transformers.__version__} torch {torch.__version__}"
    save_file({k: v.contiguous() for k, v in tensors.items()}, out, {"made_with": made_with})


if __name__ == "__main__":
    main(sys.argv[1])
