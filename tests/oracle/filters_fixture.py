"""Writes what numpy and scipy make of filters, for `preprocess/tests/filters.rs`.

    V/bin/python tests/oracle/filters_fixture.py preprocess/tests/fixtures/filters.json

Despiking: the modified Kalman filter as the equations state it, with `numpy.std(z[:n], ddof=1)` made anew for every n.
Smoothing: `scipy.ndimage.gaussian_filter` of values times mask over that of the mask, zeros outside.
"""

import json
import sys

import numpy as np
from scipy.ndimage import gaussian_filter

SHAPE = (10, 9, 8)
SIDES_MM = np.array([3.0, 3.0, 4.0])
FWHM_MM = 7.0


def despiked(z):
    out = []
    x, p, refused = z[0], 0.0, 0
    for n, value in enumerate(z, start=1):
        s = np.std(z[:n], ddof=1) if n > 1 else 0.0
        if s == 0.0:
            x = value
            out.append(x)
            continue
        prior = p + 0.25 * s**2
        gain = prior / (prior + s**2)
        d = gain * (value - x)
        direction = 1 if d > 0 else -1
        if abs(d) >= 0.9 * s and refused != direction:
            refused = direction
        else:
            refused = 0
            x, p = x + d, (1 - gain) * prior
        out.append(x)
    return out


def main():
    t = np.arange(120)
    course = 1000 + 5 * np.sin(0.9 * t) + 4 * np.cos(2.3 * t) + 0.02 * t
    course[40] += 90
    course[41:43] -= 80
    course[70:] += 60
    course = course.astype(np.float32).astype(float)

    count = int(np.prod(SHAPE))
    values = np.array([(v * 7919 + v * v * 104729) % 1009 for v in range(count)], dtype=float)
    mask = np.array([(v * 31) % 5 != 0 and v % 7 != 3 for v in range(count)], dtype=float)
    sigma = FWHM_MM / np.sqrt(8 * np.log(2)) / SIDES_MM

    def smooth(field):
        return gaussian_filter(field.reshape(SHAPE, order="F"), sigma, mode="constant", truncate=4.0).ravel(order="F")

    def within(inside):
        return (smooth(values * inside) / smooth(inside))[inside > 0]

    fixture = {
        "despike": {"input": course.tolist(), "output": despiked(course)},
        "smoothing": {"whole": within(np.ones(count)).tolist(), "mask": within(mask).tolist()},
    }
    rounded = json.loads(json.dumps(fixture), parse_float=lambda text: float(f"{float(text):.9g}"))
    with open(sys.argv[1], "w") as out:
        json.dump(rounded, out)
        out.write("\n")


main()
