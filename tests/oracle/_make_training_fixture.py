"""Writes trainer/tests/fixtures/tiny_training.safetensors: MindEye's training step in PyTorch, losses and gradients.

    python _make_training_fixture.py OUT.safetensors

Backbone, projector, low-level network and losses are written here from the spec in plain PyTorch; the prior is
dalle2-pytorch's own (through _make_prior_fixture.py). Dropout is off, every random draw is an input. Weights `w.*`,
inputs `in.*`, losses `loss.*`, gradients `grad.<loss>.*`, weights after three AdamW steps under OneCycleLR `after.*`.
The auxiliary head of the low-level network is 512 wide: its weights follow from a formula, and of its gradients only
their products with another formula are kept (`probe.*`).

Needs what _make_prior_fixture.py needs.
"""

import sys

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

import _make_prior_fixture as prior_origin

V, H, BLOCKS, T, D, PROJECTOR, B = 13, 12, 2, 3, 10, 14, 5
prior_origin.DIM, prior_origin.DEPTH, prior_origin.HEADS, prior_origin.HEAD_DIM, prior_origin.TOKENS = D, 2, 2, 8, T
MAP, SIDE, CHANNELS, GROUPS, TEACHER = 6, 2, (4, 8, 12), 2, 512
STEPS = 3


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        block = lambda inner: nn.Sequential(nn.Linear(inner, H), nn.LayerNorm(H), nn.GELU())
        self.lin0 = block(V)
        self.mlp = nn.ModuleList([block(H) for _ in range(BLOCKS)])
        self.lin1 = nn.Linear(H, T * D)
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


class Resnet(nn.Module):
    def __init__(self, inner, out):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(GROUPS, inner, eps=1e-6), nn.Conv2d(inner, out, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(GROUPS, out, eps=1e-6), nn.Conv2d(out, out, 3, padding=1)
        if inner != out:
            self.conv_shortcut = nn.Conv2d(inner, out, 1)

    def forward(self, x):
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return (self.conv_shortcut(x) if hasattr(self, "conv_shortcut") else x) + h


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.group_norm = nn.GroupNorm(GROUPS, c, eps=1e-6)
        self.to_q, self.to_k, self.to_v = nn.Linear(c, c), nn.Linear(c, c), nn.Linear(c, c)
        self.to_out = nn.ModuleList([nn.Linear(c, c)])

    def forward(self, x):
        b, c, h, w = x.shape
        places = self.group_norm(x).view(b, c, h * w).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(self.to_q(places), self.to_k(places), self.to_v(places))
        return x + self.to_out[0](mixed).transpose(1, 2).reshape(b, c, h, w)


class Upsampler(nn.Module):
    def __init__(self):
        super().__init__()
        outwards = CHANNELS[::-1]
        self.conv_in = nn.Conv2d(MAP, outwards[0], 3, padding=1)
        self.mid_block = nn.Module()
        self.mid_block.resnets = nn.ModuleList([Resnet(outwards[0], outwards[0]) for _ in range(2)])
        self.mid_block.attentions = nn.ModuleList([Attention(outwards[0])])
        self.up_blocks = nn.ModuleList()
        for i, out in enumerate(outwards):
            block = nn.Module()
            block.resnets = nn.ModuleList([Resnet(outwards[max(i - 1, 0)], out), Resnet(out, out)])
            if i + 1 < len(outwards):
                up = nn.Module()
                up.conv = nn.Conv2d(out, out, 3, padding=1)
                block.upsamplers = nn.ModuleList([up])
            self.up_blocks.append(block)
        self.conv_norm_out = nn.GroupNorm(GROUPS, outwards[-1], eps=1e-6)
        self.conv_out = nn.Conv2d(outwards[-1], 4, 3, padding=1)

    def forward(self, x):
        x = self.conv_in(x)
        x = self.mid_block.resnets[1](self.mid_block.attentions[0](self.mid_block.resnets[0](x)))
        for block in self.up_blocks:
            x = block.resnets[1](block.resnets[0](x))
            if hasattr(block, "upsamplers"):
                x = block.upsamplers[0].conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return self.conv_out(F.silu(self.conv_norm_out(x)))


class LowLevel(nn.Module):
    def __init__(self):
        super().__init__()
        block = lambda inner: nn.Sequential(nn.Linear(inner, H, bias=False), nn.LayerNorm(H), nn.SiLU())
        self.lin0 = block(V)
        self.mlp = nn.ModuleList([block(H) for _ in range(BLOCKS)])
        self.lin1 = nn.Linear(H, MAP * SIDE * SIDE, bias=False)
        self.norm = nn.GroupNorm(1, MAP)
        self.upsampler = Upsampler()
        self.maps_projector = nn.Sequential(
            nn.Conv2d(MAP, TEACHER, 1, bias=False), nn.GroupNorm(1, TEACHER), nn.ReLU(),
            nn.Conv2d(TEACHER, TEACHER, 1, bias=False), nn.GroupNorm(1, TEACHER), nn.ReLU(),
            nn.Conv2d(TEACHER, TEACHER, 1, bias=True))

    def forward(self, x):
        x = self.lin0(x)
        for block in self.mlp:
            x = block(x) + x
        x = self.norm(self.lin1(x).view(-1, MAP, SIDE, SIDE))
        return self.upsampler(x), self.maps_projector(x).flatten(2).permute(0, 2, 1)


def bi_mix_co(p, t, target, tau):
    scores = p @ t.T / tau
    there = -(target * scores.log_softmax(-1)).sum(-1).mean()
    back = -(target.T * scores.T.log_softmax(-1)).sum(-1).mean()
    return (there + back) / 2


def soft_clip(p, t, tau):
    target, scores = (t @ t.T / tau).softmax(-1), p @ t.T / tau
    there = -(target * scores.log_softmax(-1)).sum(-1).mean()
    return (there - (target * scores.T.log_softmax(-1)).sum(-1).mean()) / 2


def teacher_contrast(s, a, g, tau):
    s, a, g = (F.normalize(x.flatten(0, 1), dim=-1) for x in (s, a, g))
    there = -((a @ g.T / tau).softmax(-1) * (s @ g.T / tau).log_softmax(-1)).sum(-1).mean()
    back = -((g @ a.T / tau).softmax(-1) * (g @ s.T / tau).log_softmax(-1)).sum(-1).mean()
    return (there + back) / 2


class MindEye(nn.Module):
    """voxel2clip, net and the losses of one batch whose draws are given."""

    def __init__(self):
        super().__init__()
        self.voxel2clip, self.net = Backbone(), prior_origin.Prior()

    def losses(self, i):
        lam, perm = i["weight"], i["partner"]
        mixed = i["voxels"] * lam[:, None] + i["voxels"][perm] * (1 - lam[:, None])
        rows = torch.arange(B)
        faithful = torch.diag(lam)
        faithful[rows, perm] = 1 - lam
        clean = torch.diag(lam)
        clean[rows, perm] += 1 - lam
        tokens, projected = self.voxel2clip(mixed)
        p, t = F.normalize(projected.flatten(1), dim=-1), F.normalize(i["target"].flatten(1), dim=-1)
        clean_tokens = i["target"] * D**0.5
        schedule = prior_origin.origin.NoiseScheduler(beta_schedule="cosine", timesteps=100, loss_type="l2")
        noised = schedule.q_sample(clean_tokens, t=i["timestep"], noise=i["noise"])
        net = self.net
        brain = torch.where(i["keep_brain"][:, None, None], tokens, net.null_brain_embeds)
        noised = torch.where(i["keep_noised"][:, None, None], noised, net.null_image_embed)
        predicted = net(noised, i["timestep"].float(), brain)
        prior = F.mse_loss(predicted, clean_tokens)
        losses = {"faithful": bi_mix_co(p, t, faithful, 0.006), "clean": bi_mix_co(p, t, clean, 0.006)}
        return losses | {"soft": soft_clip(p, t, 0.005), "prior": prior, "predicted": predicted, "tokens": tokens,
                         "projected": projected}


def steps_of_adamw(model, inputs):
    """Three steps of the released optimiser: no decay for names with `bias`, OneCycleLR with momentum cycling."""
    named = [(k, p) for k, p in model.named_parameters() if not k.endswith("freqs")]
    groups = [{"params": [p for k, p in named if "bias" not in k], "weight_decay": 1e-2},
              {"params": [p for k, p in named if "bias" in k], "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=3e-4)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=3e-4, total_steps=STEPS * 4, pct_start=2 / STEPS / 4 * 3, final_div_factor=1000)
    rates = []
    for _ in range(STEPS):
        losses = model.losses(inputs)
        optimiser.zero_grad()
        (losses["faithful"] + 30 * losses["prior"]).backward()
        rates.append([optimiser.param_groups[0]["lr"], optimiser.param_groups[0]["betas"][0]])
        optimiser.step()
        cycle.step()
    return torch.tensor(rates, dtype=torch.float64).float()


def gradients(model, loss):
    named = [(k, p) for k, p in model.named_parameters() if not k.endswith("freqs")]
    found = torch.autograd.grad(loss, [p for _, p in named], retain_graph=True, allow_unused=True)
    return {k: g for (k, _), g in zip(named, found) if g is not None}


def wave(shape, frequency, scale):
    """The formula of weights and probes that are not stored: scale * sin(frequency * (i + 1))."""
    count = torch.Size(shape).numel()
    return (scale * torch.sin(frequency * torch.arange(1, count + 1, dtype=torch.float64))).float().view(shape)


def jitter(model):
    """Gains and offsets away from one and zero, so that leaving one out is noticed."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1 and not name.endswith("freqs"):
                parameter.add_(0.1 * torch.randn_like(parameter))


def main(out):
    torch.manual_seed(0)
    tensors = {}
    model = MindEye().eval()
    jitter(model)
    inputs = {
        "voxels": torch.randn(B, V), "target": torch.randn(B, T, D), "noise": torch.randn(B, T, D),
        "timestep": torch.tensor([0, 99, 50, 7, 94]), "weight": torch.tensor([0.7, 1.0, 0.2, 1.0, 0.9]),
        "partner": torch.tensor([1, 0, 2, 4, 3]), "keep_brain": torch.tensor([1, 0, 1, 1, 0]).bool(),
        "keep_noised": torch.tensor([1, 1, 0, 1, 0]).bool()}
    tensors |= {f"w.{k}": v.clone() for k, v in model.state_dict().items()}
    tensors |= {f"in.{k}": v.float() for k, v in inputs.items()}
    losses = model.losses(inputs)
    tensors |= {f"loss.{k}": v.detach().clone() for k, v in losses.items()}
    for name in ("faithful", "soft"):
        found = gradients(model, losses[name] + 30 * losses["prior"])
        tensors |= {f"grad.{name}.{k}": g for k, g in found.items()}
    tensors["rates"] = steps_of_adamw(model, inputs)
    tensors |= {f"after.{k}": v.detach().clone() for k, v in model.state_dict().items()}

    low = LowLevel().eval()
    jitter(low)
    with torch.no_grad():
        for name, parameter in low.maps_projector.named_parameters():
            gain = 1.0 if name in ("1.weight", "4.weight") else 0.0
            parameter.copy_(wave(parameter.shape, 0.37, 0.05) + gain)
    latent = torch.randn(B, 4, 4 * SIDE, 4 * SIDE)
    voxels = torch.randn(B, V)
    teacher = wave((B, SIDE * SIDE, TEACHER), 0.11, 1.0)
    augmented = wave((B, SIDE * SIDE, TEACHER), 0.13, 1.0)
    answer, features = low(voxels)
    l1 = F.l1_loss(answer, latent) / 0.18215
    contrast = teacher_contrast(features, teacher, augmented, 0.075)
    tensors |= {f"low.w.{k}": v.clone() for k, v in low.state_dict().items() if not k.startswith("maps_projector")}
    tensors |= {"low.in.voxels": voxels, "low.in.latent": latent, "low.answer": answer.detach()}
    tensors |= {"low.loss.l1": l1.detach(), "low.loss.contrast": contrast.detach()}
    for name, gradient in gradients(low, l1 + 0.1 * contrast).items():
        if name.startswith("maps_projector"):
            tensors[f"low.probe.{name}"] = (gradient * wave(gradient.shape, 0.07, 1.0)).sum()
        else:
            tensors[f"low.grad.{name}"] = gradient
    tensors = {k: v.contiguous().clone() for k, v in tensors.items()}
    save_file(tensors, out, {"made_with": f"dalle2-pytorch 1.15.6 torch {torch.__version__}"})


if __name__ == "__main__":
    main(sys.argv[1])
