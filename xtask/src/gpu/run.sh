#!/bin/sh
# Joins the pieces beside it, checks them, and runs the engines' conformance test on this machine's GPU, then what came
# along: a bundle of published size, whole reconstructions, the daemon's bench, and the same in PyTorch (COMPILE=0 without
# torch.compile). Everything lies beside this script afterwards, as JSON. CUDA 13 and cuDNN 9 come from the system, or from the packages of this machine's PyTorch.
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
LD_LIBRARY_PATH="$PWD/mindeye-gpu/.runtime/onnxruntime-gpu/lib:$PWD/mindeye-gpu/.runtime/zmq/lib:$torch_libraries:${LD_LIBRARY_PATH:-}"
MINDEYE_RUNTIME_DIR="$PWD/mindeye-gpu/.runtime"
MINDEYE_GPU_REQUIRED=1
export LD_LIBRARY_PATH MINDEYE_RUNTIME_DIR MINDEYE_GPU_REQUIRED

status=0
bin=$PWD/mindeye-gpu/bin
[ -e "$MINDEYE_RUNTIME_DIR/onnxruntime" ] || ln -s onnxruntime-gpu "$MINDEYE_RUNTIME_DIR/onnxruntime"
"$bin/gpu-conformance" --nocapture || status=$?
if [ -x "$bin/mindeye-export" ] && [ ! -d full ]; then
    "$bin/mindeye-export" bundle --random-init full --seed 7 --dialect onnxruntime-cuda --out full > bundle.json --json || status=$?
    "$bin/mindeye-export" inspect full --json > inspect.json || status=$?
fi
if [ -x "$bin/reconstruction_times" ]; then
    "$bin/reconstruction_times" full --engine onnxruntime-cuda --runs 100 --warm 10 > ours.json || status=$?
fi
if [ -x "$bin/mindeye-daemon" ]; then
    "$bin/mindeye-daemon" bench --bundle full --engine onnxruntime-cuda --trials 20 --flood 0 --json > bench.json || status=$?
fi
# PyTorch on the same card and in the same hour: eagerly, then compiled, which autotunes for twenty minutes and more. Needs
# diffusers.
if python3 -c "import torch, diffusers" 2> /dev/null; then
    python3 mindeye-gpu/reference.py eager.json --runs 50 || status=$?
    if [ "${COMPILE:-1}" = 1 ]; then python3 mindeye-gpu/reference.py compiled.json --compile --runs 100 || status=$?; fi
fi
exit "$status"
