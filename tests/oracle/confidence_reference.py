"""Prints the numbers that decode/tests/confidence.rs holds itself to.

    python confidence_reference.py

The same scores by formula, the best temperature by scipy's bounded minimiser on log-softmax.
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

TRIALS, ITEMS = 40, 25


def scores():
    """sin-made scores in f32; the shown item of trial i is 7 i mod 25 and leads by 0.15 on average."""
    i, j = np.mgrid[0:TRIALS, 0:ITEMS]
    noise = 0.3 * np.sin(12.9898 * (i + 1) + 78.233 * (j + 1) + 0.5 * (i + 1) * (j + 1))
    shown = 7 * np.arange(TRIALS) % ITEMS
    noise[np.arange(TRIALS), shown] += 0.15
    return noise.astype(np.float32).astype(np.float64), shown


def main():
    s, shown = scores()
    loss = lambda log_t: -log_softmax(s / np.exp(log_t), axis=1)[np.arange(TRIALS), shown].mean()
    best = minimize_scalar(loss, bounds=(np.log(1e-3), np.log(1e2)), method="bounded", options={"xatol": 1e-12})
    temperature = np.exp(best.x)
    confidence = softmax(s / temperature, axis=1).max(axis=1)
    print(f"temperature {temperature:.9f}, loss {best.fun:.9f}, first confidences {confidence[:3]}")
    print(f"right {int((s.argmax(axis=1) == shown).sum())} of {TRIALS}")


if __name__ == "__main__":
    main()
