"""Needs pydicom and nibabel of requirements.txt. Adds the peer to a measurement of DICOM ingest: the same mosaic read by pydicom and nibabel, as rt-cloud reads it.

    MINDEYE_BENCH_OUT=ours.json cargo test -p mindeye-tests --test ingest_latency -- --ignored
    python _dicom_bench.py MINDEYE_DAEMON ours.json result.json COMMIT "machine"
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import nibabel
import numpy
import pydicom
from nibabel.nicom import dicomwrappers


def read(path):
    """Voxels and affine of one mosaic."""
    wrapper = dicomwrappers.wrapper_from_data(pydicom.dcmread(path))
    return wrapper.get_data(), wrapper.affine


def main(program, ours, out, commit, machine):
    with tempfile.TemporaryDirectory() as room:
        flags = ["--emit", "dicom-mosaic", "--connect", room, "--phantom", "--volumes", "1", "--speed", "1000"]
        subprocess.run([program, "scanner", *flags], check=True, capture_output=True)
        path = next(pathlib.Path(room).rglob("*.dcm"))
        read(path)
        took = []
        for _ in range(300):
            begun = time.perf_counter()
            read(path)
            took.append(1e3 * (time.perf_counter() - begun))
    report = json.loads(pathlib.Path(ours).read_text())
    peer = {f"p{q}_ms": float(numpy.percentile(took, q)) for q in (50, 95, 99)}
    report["peer"] = {"program": f"pydicom {pydicom.__version__} and nibabel {nibabel.__version__}, reading only", **peer}
    report["ratio_peer_to_ours_reading_p50"] = peer["p50_ms"] / report["read_dicom"]["p50_ms"]
    report["machine"], report["commit"] = machine, commit
    pathlib.Path(out).write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
