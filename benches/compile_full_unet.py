"""Compiles the UNet of a bundle of published size for an RTX card, on a machine that needs no GPU, and measures it.

    mindeye-export bundle --random-init full --out FULL
    python3 compile_full_unet.py EXPORTER FULL RESULT.json [sm_89]

EXPORTER is `mindeye-export`, built with the feature `tensorrt`. Only the UNet is compiled: a bundle of it alone is put
together from links. Peak memory is the program's own largest resident set, as the kernel counted it; limits are those of the
release check: 60 s and 8 GB. Ends with 1 beyond them. On a machine that is busy otherwise, `cpu_seconds` is the figure to read.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

LIMIT_S, LIMIT_BYTES = 60.0, 8e9


def only_unet(manifest: str) -> str:
    """The manifest with the UNet as its one network; the verb reads no file list."""
    head, *networks = manifest.split("[[network]]")
    tail = networks[-1][networks[-1].find("\n[gallery]") :] if "\n[gallery]" in networks[-1] else ""
    [unet] = [n for n in networks if '"unet"' in n.split("\n", 2)[1]]
    unet = unet.split("\n[gallery]")[0].split("\n[[file]]")[0]
    return head + "[[network]]" + unet + tail


def main() -> int:
    exporter, full, result = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    target = sys.argv[4] if len(sys.argv) > 4 else "sm_89"
    with tempfile.TemporaryDirectory(dir=full.resolve().parent) as home:
        bundle = Path(home)
        (bundle / "networks").mkdir()
        for file in full.glob("networks/unet.onnx*"):
            os.link(file, bundle / "networks" / file.name)
        manifest = only_unet((full / "manifest.toml").read_text())
        assert [n["name"] for n in tomllib.loads(manifest)["network"]] == ["unet"]
        (bundle / "manifest.toml").write_text(manifest)
        command = [exporter, "engine", str(bundle), "--target", target, "--precision", "fp16", "--json"]
        start = time.perf_counter()
        finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak, cpu_seconds = used.ru_maxrss * 1024, used.ru_utime + used.ru_stime
    [engine] = json.loads(finished.stdout)["engines"]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    figures = {"seconds": round(seconds, 1), "cpu_seconds": round(cpu_seconds, 1), "peak_resident_bytes": peak}
    limits = {"limit_seconds": LIMIT_S, "limit_bytes": LIMIT_BYTES}
    machine = {"cores": os.cpu_count(), "load_1min": os.getloadavg()[0], "system": platform.platform()}
    report = {"bench": "compile_full_unet", "commit": commit, "machine": machine, **figures, **limits, "engine": engine}
    result.write_text(json.dumps(report, indent=2) + "\n")
    print(f"{target}: {seconds:.1f} s ({cpu_seconds:.1f} s of CPU), {peak / 1e9:.2f} GB", file=sys.stderr)
    return 0 if seconds <= LIMIT_S and peak <= LIMIT_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
