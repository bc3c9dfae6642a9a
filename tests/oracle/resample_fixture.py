"""Writes what scipy and nibabel read between voxels, for `preprocess/tests/resample.rs`.

    V/bin/python tests/oracle/resample_fixture.py preprocess/tests/fixtures/resample.tsv

A volume of whole numbers on an oblique, left-handed grid is read at the voxels of another oblique grid, by
`nibabel.processing.resample_from_to` (order 1 and 3) and by `scipy.ndimage.map_coordinates` (mode "mirror"). Only voxels
inside the field are kept; there the two must agree before the file is written.
"""

import sys

import nibabel
import numpy as np
from nibabel.processing import resample_from_to
from scipy.ndimage import map_coordinates

SHAPE = (12, 11, 10)
AFFINE = np.array([[-2.9, 0.4, 0.1, 20.0], [0.3, 2.8, -0.9, -14.5], [0.2, 0.8, 3.1, -12.25], [0, 0, 0, 1]])
TARGET_SHAPE = (9, 8, 7)
TARGET = np.array([[2.1, -0.3, 0.2, -4.0], [0.4, 2.2, 0.3, -8.0], [-0.1, -0.2, 2.6, -5.0], [0, 0, 0, 1]])


def main():
    count = int(np.prod(SHAPE))
    values = np.array([(v * 7919 + v * v * 104729) % 1009 for v in range(count)], dtype=float)
    data = values.reshape(SHAPE, order="F")
    image = nibabel.Nifti1Image(data, AFFINE)
    ijk = np.column_stack(np.unravel_index(np.arange(np.prod(TARGET_SHAPE)), TARGET_SHAPE, order="F"))
    places = (np.linalg.inv(AFFINE) @ TARGET @ np.column_stack([ijk, np.ones(len(ijk))]).T)[:3]
    inside = np.all((places >= 0) & (places <= np.array(SHAPE)[:, None] - 1), axis=0)
    with open(sys.argv[1], "w") as out:
        print("order\tvoxel\tvalue", file=out)
        for order in (1, 3):
            by_nibabel = resample_from_to(image, (TARGET_SHAPE, TARGET), order=order).get_fdata()
            by_scipy = map_coordinates(data, places, order=order, mode="mirror")
            for n in np.flatnonzero(inside):
                i, j, k = ijk[n]
                assert abs(by_nibabel[i, j, k] - by_scipy[n]) < 1e-9, (order, i, j, k)
                print(f"{order}\t{n}\t{by_scipy[n]:.9g}", file=out)


if __name__ == "__main__":
    main()
