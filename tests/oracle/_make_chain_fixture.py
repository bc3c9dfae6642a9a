"""Writes decode/tests/fixtures/tiny_chain.safetensors: a whole reconstruction by dalle2-pytorch and diffusers.

    python _make_chain_fixture.py OUT.safetensors

brain tokens -> prior (dalle2-pytorch's own sampling loops) -> image tokens -> 17 of 20 guided UniPC steps (diffusers'
scheduler with the ending of 0.13.0) from a blurry latent, once as it is and once after MindEye's decode-normalise-encode
round trip -> VAE. Networks are small and random, with weights that float16 holds (`w.*`); every number that was drawn on
the way is kept, so that another program can walk the same way (`noise.*`); `io.*` are inputs and what came out.

Needs what _make_prior_fixture.py needs, and diffusers==0.31.0 with huggingface_hub, pillow and their dependencies.
"""

import json
import sys
import types
from unittest import mock

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel, UniPCMultistepScheduler
from safetensors.torch import save_file

from _make_prior_fixture import Prior, origin  # last: it puts stand-ins where diffusers would look for torchvision

DIM, TOKENS, SIDE = 20, 70, 8
STEPS, STRENGTH, GUIDANCE, SCALE = 20, 0.85, 3.5, 0.18215
CLIP_MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).reshape(1, 3, 1, 1)
CLIP_STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]).reshape(1, 3, 1, 1)
UNET = {
    "sample_size": SIDE, "in_channels": 4, "out_channels": 4, "layers_per_block": 1, "norm_num_groups": 8,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"), "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "block_out_channels": (16, 32), "cross_attention_dim": DIM, "attention_head_dim": 4,
}
VAE = {
    "block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 8, "latent_channels": 4,
    "down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2, "sample_size": 2 * SIDE,
}


def as_float16_holds(network):
    for parameter in network.parameters():
        parameter.data = parameter.data.half().float()
    return network.eval()


class Recorder:
    """torch.randn and torch.randn_like, remembering what they gave."""

    def __init__(self):
        self.drawn, self.randn = [], torch.randn

    def __enter__(self):
        draw = lambda shape: self.drawn.append(self.randn(tuple(shape))) or self.drawn[-1]
        self.patches = [
            mock.patch.object(torch, "randn", lambda shape, device=None: draw(shape)),
            mock.patch.object(torch, "randn_like", lambda x: draw(x.shape)),
        ]
        [patch.start() for patch in self.patches]
        return self

    def __exit__(self, *_):
        [patch.stop() for patch in self.patches]


def sample_prior(network, brain, train_steps, steps):
    """dalle2-pytorch's DiffusionPrior around MindEye's network: only its settings are written here (spec: MindEye 2.1)."""
    network.self_cond = False
    network.forward_with_cond_scale = lambda x, t, self_cond, cond_scale, brain: network(x, t.float(), brain)
    scheduler = origin.NoiseScheduler(beta_schedule="cosine", timesteps=train_steps, loss_type="l2")
    prior = types.SimpleNamespace(
        net=network, noise_scheduler=scheduler, device="cpu", predict_x_start=True, predict_v=False,
        init_image_embed_l2norm=False, sampling_clamp_l2norm=False, sampling_final_clamp_l2norm=False,
        image_embed_scale=DIM**0.5, can_classifier_guidance=True,
    )
    for name in ("p_sample_loop", "p_sample_loop_ddim", "p_sample_loop_ddpm", "p_sample", "p_mean_variance"):
        setattr(prior, name, types.MethodType(getattr(origin.DiffusionPrior, name), prior))
    with Recorder() as recorder:
        tokens = prior.p_sample_loop((1, TOKENS, DIM), text_cond={"brain": brain}, timesteps=steps)
    return tokens / (tokens[:, :1].norm(dim=-1, keepdim=True) + 1e-6), recorder.drawn


def reconstruct(unet, vae, tokens, latent, noise):
    scheduler = UniPCMultistepScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, final_sigmas_type="sigma_min"
    )
    scheduler.set_timesteps(STEPS)
    begin = STEPS - min(int(STEPS * STRENGTH), STEPS)
    scheduler.set_begin_index(begin)
    timesteps = scheduler.timesteps[begin:]
    sample = scheduler.add_noise(latent, noise, timesteps[:1])
    states = torch.cat([torch.zeros_like(tokens), tokens])
    for t in timesteps:
        unconditional, conditional = unet(torch.cat([sample] * 2), t, states).sample.chunk(2)
        eps = unconditional + GUIDANCE * (conditional - unconditional)
        sample = scheduler.step(eps, t, sample).prev_sample
    return sample, vae.decode(sample / SCALE).sample


def round_trip(vae, latent, noise):
    image = (vae.decode(latent / SCALE).sample / 2 + 0.5).clamp(0, 1)
    posterior = vae.encode((image - CLIP_MEAN) / CLIP_STD).latent_dist
    return (posterior.mean + posterior.std * noise) * SCALE


@torch.no_grad()
def main(out):
    torch.manual_seed(1)
    prior, unet = as_float16_holds(Prior()), as_float16_holds(UNet2DConditionModel(**UNET))
    vae = as_float16_holds(AutoencoderKL(**VAE))
    brain, latent = torch.randn(1, TOKENS, DIM), 0.5 * torch.randn(1, 4, SIDE, SIDE)
    latent_noise, posterior_noise = torch.randn(2, 1, 4, SIDE, SIDE)
    tokens, ddim = sample_prior(prior, brain, 100, 20)
    ancestral_tokens, ddpm = sample_prior(prior, brain, 12, 12)

    tensors = {f"w.prior.net.{key}": value.half() for key, value in prior.state_dict().items()}
    tensors |= {f"w.unet.{key}": value.half() for key, value in unet.state_dict().items()}
    tensors |= {f"w.vae.{key}": value.half() for key, value in vae.state_dict().items()}
    tensors |= {"io.brain_tokens": brain, "io.latent": latent, "io.tokens": tokens, "io.ancestral_tokens": ancestral_tokens}
    tensors |= {"noise.prior_start": ddim[0], "noise.prior_steps": torch.cat(ddim[1:])}
    tensors |= {"noise.ancestral_start": ddpm[0], "noise.ancestral_steps": torch.cat(ddpm[1:])}
    tensors |= {"noise.latent_start": latent_noise, "noise.posterior": posterior_noise}
    for start, clean in {"direct": latent, "round_trip": round_trip(vae, latent, posterior_noise)}.items():
        tensors[f"io.{start}.latent"], tensors[f"io.{start}.image"] = reconstruct(unet, vae, tokens, clean, latent_noise)
    metadata = {"unet": json.dumps(UNET), "vae": json.dumps(VAE), "made_with": f"diffusers 0.31.0 torch {torch.__version__}"}
    save_file({key: value.contiguous() for key, value in tensors.items()}, out, metadata)


if __name__ == "__main__":
    main(sys.argv[1])
