"""Judges the simulated scanner's DICOM files by dcm2niix and pydicom: a run that goes out as DICOM comes back as it was.

    python emitted_dicom.py [MINDEYE_DAEMON RUN.nii.gz]

RUN holds int16 or uint16 volumes on an orthogonal grid, as dcm2niix makes them from a Siemens series; without arguments it
is one of the shared data, and the program that of the last debug build.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

import dcm2niix
import nibabel
import numpy
import pydicom


def convert(folder, out):
    """What dcm2niix makes of `folder`: one NIfTI run."""
    out.mkdir()
    subprocess.run([dcm2niix.bin, "-b", "n", "-z", "n", "-f", "run", "-o", out, folder], check=True, capture_output=True)
    made = sorted(out.glob("*.nii"))
    assert len(made) == 1, f"dcm2niix made {made}"
    return nibabel.load(made[0])


def main(program, run):
    reference = nibabel.load(run)
    sent = numpy.asanyarray(reference.dataobj)
    for kind in ("dicom-mosaic", "dicom-xa"):
        with tempfile.TemporaryDirectory() as room:
            room = pathlib.Path(room)
            flags = ["--emit", kind, "--connect", room / "export", "--bold", run, "--tr-s", "2", "--speed", "1000"]
            subprocess.run([program, "scanner", *flags], check=True, capture_output=True)
            files = sorted((room / "export").rglob("*.dcm"))
            assert len(files) == sent.shape[3], f"{len(files)} files for {sent.shape[3]} volumes"
            for file in files:
                assert "PLANTED" in str(pydicom.dcmread(file).PatientName), file
            back = convert(room / "export", room / "out")
            # 1e-3 mm: DICOM positions have six digits after the point, NIfTI's affine is f32.
            apart = numpy.abs(back.affine - reference.affine).max()
            equal = numpy.array_equal(numpy.asanyarray(back.dataobj), sent)
            print(f"{kind}: {len(files)} files, affine within {apart:.2e} mm, voxels {'equal' if equal else 'DIFFER'}")
            assert equal and apart < 1e-3, kind


def defaults():
    """Program and run, or a line and a clean end."""
    root = pathlib.Path(__file__).resolve().parents[2]
    data = pathlib.Path(os.environ.get("MINDEYE_SHARED_DATA", root / "../shared/data"))
    found = [root / "target/debug/mindeye-daemon", data / "siemens_mosaic_qa/Ref/2_ep2d_Asc.nii.gz"]
    missing = [str(path) for path in found if not path.exists()]
    if missing:
        print(f"skipped: {' and '.join(missing)} not there")
        sys.exit(0)
    return found


if __name__ == "__main__":
    main(*(sys.argv[1:] or defaults()))
