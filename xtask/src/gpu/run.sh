#!/bin/sh
# Joins the pieces beside it, checks them, and runs the engines' conformance test on this machine's GPU, then the bench if
# mindeye-daemon came along. CUDA 13 and cuDNN 9 come from the system, or from the packages of this machine's PyTorch.
# Ends with 69 without a GPU, 65 when a piece is missing or broken, else as the last program that failed.
set -eu
cd "$(dirname "$0")"
device=${DEVICE:-/dev/nvidiactl}
if [ ! -e "$device" ]; then echo "run.sh: no NVIDIA GPU here ($device is missing)" >&2; exit 69; fi
if ! sha256sum --check --quiet SHA256SUMS >&2; then echo "run.sh: a piece is missing or broken; see above" >&2; exit 65; fi
[ -d mindeye-gpu ] || cat piece-* | tar --extract --xz

# Folders of the libraries that PyTorch's wheels brought, if there are any.
torch_libraries=$(python3 - 2>/dev/null <<'PYTHON' || true
import glob, os, site
folders = site.getsitepackages() + [site.getusersitepackages()]
print(":".join(sorted({os.path.dirname(f) for s in folders for f in glob.glob(s + "/nvidia/*/lib/*.so*") + glob.glob(s + "/torch/lib/libc10.so")})))
PYTHON
)
LD_LIBRARY_PATH="$PWD/mindeye-gpu/.runtime/onnxruntime-gpu/lib:$torch_libraries:${LD_LIBRARY_PATH:-}"
MINDEYE_RUNTIME_DIR="$PWD/mindeye-gpu/.runtime"
MINDEYE_GPU_REQUIRED=1
export LD_LIBRARY_PATH MINDEYE_RUNTIME_DIR MINDEYE_GPU_REQUIRED

status=0
mindeye-gpu/bin/gpu-conformance --nocapture || status=$?
if [ -x mindeye-gpu/bin/mindeye-daemon ]; then
    mindeye-gpu/bin/mindeye-daemon bench --model full --engine onnxruntime-cuda --trials 20 --json > bench.json || status=$?
fi
exit "$status"
