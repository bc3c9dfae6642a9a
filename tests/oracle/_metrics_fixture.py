"""Writes `decode/tests/fixtures/metrics.safetensors`: pictures, features, embeddings, and their metrics by the references.

Needs torch 2.11.0 beside requirements.txt. The recipes are those of the method's evaluation (spec: MindEye sections 6 and 7), in
PyTorch, numpy and scikit-image 0.26.0.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from skimage.color import rgb2gray
from skimage.metrics import structural_similarity


def interpolate(x, size, antialias):
    return torch.nn.functional.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=antialias)


def pictures(rng):
    """Four pairs u8[3, 32, 40]: near, far, shifted, inverted."""
    rows, columns = np.mgrid[0:32, 0:40]
    base = np.stack([128 + 100 * np.sin(rows / 5 + c) * np.cos(columns / (3 + c)) for c in range(3)])
    real = np.stack([np.roll(base, 3 * i, axis=1) + 12 * rng.normal(size=base.shape) for i in range(4)])
    predicted = np.stack([real[0] + 10 * rng.normal(size=base.shape), 255 * rng.random(base.shape),
                          np.roll(real[2], 2, axis=2), 255 - real[3]])
    return [np.clip(x, 0, 255).astype(np.uint8) for x in (real, predicted)]


def pixcorr(real, predicted):
    real, predicted = (interpolate(x, 425, False).reshape(len(x), -1).numpy() for x in (real, predicted))
    return np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(real, predicted)])


def ssim(real, predicted):
    gray = lambda x: rgb2gray(interpolate(x, 425, False).permute(0, 2, 3, 1).numpy())
    return np.array([structural_similarity(a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
                                           data_range=1.0) for a, b in zip(gray(predicted), gray(real))])


def two_way(real, predicted):
    n = len(real)
    r = np.corrcoef(real, predicted)[:n, n:]
    return (r < np.diag(r)).sum(0) / (n - 1)


def correlation_distance(real, predicted):
    return np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(real, predicted)])


def hits(brain, image):
    """Top-1 brain -> image and image -> brain by cosines, each under its own name."""
    unit = lambda x: torch.nn.functional.normalize(x, dim=-1)
    scores = unit(brain) @ unit(image).T
    own = torch.arange(len(brain))
    return (scores.argmax(1) == own).numpy(), (scores.argmax(0) == own).numpy()


def main():
    rng = np.random.default_rng(3)
    real, predicted = pictures(rng)
    to = lambda x: torch.from_numpy(x.astype(np.float64) / 255)
    features = rng.normal(size=(9, 30)).astype(np.float32)
    decoded = (0.4 * features + rng.normal(size=features.shape)).astype(np.float32)
    # A large common direction and hubs, so that directions differ from each other and from their centred selves.
    image = rng.normal(size=(24, 16)) + 3 * rng.normal(size=16)
    brain = 0.6 * image + rng.normal(size=image.shape) + 2 * rng.normal(size=16)
    image_t, brain_t = torch.from_numpy(image), torch.from_numpy(brain)
    raw = hits(brain_t, image_t)
    unit = lambda x: torch.nn.functional.normalize(x, dim=-1)
    mean = unit(image_t).mean(0)
    centred = hits(unit(brain_t) - mean, unit(image_t) - mean)
    cosines = lambda a, b: (unit(a) @ unit(b).T).numpy()
    small = to(real)[:1]
    out = Path(__file__).resolve().parents[2] / "decode/tests/fixtures/metrics.safetensors"
    out.parent.mkdir(parents=True, exist_ok=True)
    u8 = lambda x: np.array(x, dtype=np.uint8)
    save_file({
        "io.real": np.ascontiguousarray(real), "io.predicted": np.ascontiguousarray(predicted),
        "io.features": features, "io.decoded": decoded,
        "io.cosines": cosines(brain_t, image_t), "io.image_cosines": cosines(image_t, image_t),
        "pixcorr": pixcorr(to(real), to(predicted)), "ssim": ssim(to(real), to(predicted)),
        "resize.down": interpolate(small, (13, 11), False).numpy()[0],
        "resize.down_antialias": interpolate(small, (13, 11), True).numpy()[0],
        "resize.up": interpolate(small, (45, 71), False).numpy()[0],
        "two_way": two_way(features, decoded), "correlation_distance": np.array([correlation_distance(features, decoded)]),
        "image_retrieval.raw": u8(raw[0]), "brain_retrieval.raw": u8(raw[1]),
        "image_retrieval.centred": u8(centred[0]), "brain_retrieval.centred": u8(centred[1]),
    }, out)
    print(out, pixcorr(to(real), to(predicted)), ssim(to(real), to(predicted)), two_way(features, decoded).mean(),
          [int(h.sum()) for h in (*raw, *centred)])


if __name__ == "__main__":
    main()
