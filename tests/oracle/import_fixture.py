"""Writes `trainer/tests/fixtures/import/`: a tiny NSD tree by h5py and nibabel, a numpy archive, and webdataset shards.

NSD's arrays are stored as there: int16, 300 times percent, [trials, z, y, x], chunked, gzip (one session shuffled too). The
stored number is 3 (1000 session + 60 trial + linear index of the voxel), counted from session 1, trial 0, x fastest.
"""

import io
import shutil
import tarfile
from pathlib import Path

import h5py
import nibabel
import numpy as np

ROOT = Path(__file__).resolve().parents[2] / "trainer/tests/fixtures/import"
X, Y, Z, TRIALS = 5, 4, 3, 6


def nsd(root):
    data = root / "nsddata/ppdata/subj01"
    betas = root / "nsddata_betas/ppdata/subj01/func1pt8mm/betas_fithrf_GLMdenoise_RR"
    stimuli = root / "nsddata_stimuli/stimuli/nsd"
    for folder in (data / "behav", data / "func1pt8mm/roi", betas, stimuli):
        folder.mkdir(parents=True)
    lines = ["SUBJECT\tSESSION\tRUN\tTRIAL\t73KID\t10KID\tTIME\tRT"]
    for session in (1, 2, 3):
        for trial in range(TRIALS):
            picture = 1 + (5 * session + trial) % 9
            own = picture if picture <= 3 else 1000 + picture
            lines.append(f"1\t{session}\t{1 + trial // 3}\t{1 + trial % 3}\t{picture}\t{own}\t0.5\tNaN")
    (data / "behav/responses.tsv").write_text("\n".join(lines) + "\n")
    mask = np.zeros((X, Y, Z))
    mask[...] = -1
    mask[1:4, 1:3, :] = 1
    mask[0, 0, 0] = 0
    nibabel.save(nibabel.Nifti1Image(mask.astype(np.float32), np.diag([1.8, 1.8, 1.8, 1])),
                 data / "func1pt8mm/roi/nsdgeneral.nii.gz")
    linear = np.arange(X * Y * Z).reshape(Z, Y, X)
    for session in (1, 2):
        stored = np.stack([3 * (1000 * session + 60 * trial + linear) for trial in range(TRIALS)]).astype(np.int16)
        with h5py.File(betas / f"betas_session{session:02}.hdf5", "w") as file:
            file.create_dataset("betas", data=stored, chunks=(4, 2, 3, 5), compression="gzip", shuffle=session == 2)
    pictures = np.stack([np.full((6, 8, 3), 20 * i, dtype=np.uint8) for i in range(10)])
    pictures[:, 0, 0] = [255, 0, 7]
    with h5py.File(stimuli / "nsd_stimuli.hdf5", "w") as file:
        file.create_dataset("imgBrick", data=pictures, chunks=(1, 6, 8, 3), compression="gzip")


def npz(root):
    np.savez_compressed(root / "data.npz", voxels=np.arange(24, dtype=np.float64).reshape(8, 3),
                        image=np.array(["face", "face", "house", "cat", "cat", "shoe", "face", "b"]),
                        session=np.array([1, 1, 1, 1, 2, 2, 2, 2]), run=np.array(["run-1"] * 8),
                        split=np.array(["train", "train", "test", "train", "train", "validation", "train", "train"]))


def shard(path, samples):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for key, voxels, coco in samples:
            for name, array in (("nsdgeneral.npy", voxels.astype(np.float16)), ("coco73k.npy", np.array([coco]))):
                buffer = io.BytesIO()
                np.save(buffer, array)
                info = tarfile.TarInfo(f"{key}.{name}")
                info.size = len(buffer.getvalue())
                tar.addfile(info, io.BytesIO(buffer.getvalue()))


def webdataset(root):
    rows = np.arange(12).reshape(3, 4) / 4
    shard(root / "train/train_subj01_0.tar", [("sample000", rows, 41), ("sample001", rows[[0, 1, 1]] + 10, 7)])
    shard(root / "test/test_subj01_0.tar", [("sample000", rows - 20, 99)])


def main():
    shutil.rmtree(ROOT, ignore_errors=True)
    ROOT.mkdir(parents=True)
    nsd(ROOT / "nsd")
    npz(ROOT)
    webdataset(ROOT / "shards")
    print(*sorted(path for path in ROOT.rglob("*") if path.is_file()), sep="\n")


if __name__ == "__main__":
    main()
