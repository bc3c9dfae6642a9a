"""Holds half-precision graphs of published size to their float32 twins, rounded on the CPU as hardware rounds.

    python _check_half.py EXPORTER [NETWORK...]

EXPORTER is the `mindeye-export` program. For each network: random weights of published size, one graph in float32 and one
in half precision, one input. ONNX Runtime's CPU provider computes most float16 operators in float32 and keeps the digits
in between, so the half-precision graph is rewritten first: float32 arithmetic, and after every operator that makes new
numbers a conversion to float16 and back around a change of shape, which the runtime keeps. Prints cosine, the largest
|difference|/(1 + |answer|) and the largest activation (half precision ends at 65504); ends with 1 if a cosine is 0.9995
or less. Needs 8 GB of memory, 6 GB of disk, and: pip install numpy onnx onnxruntime.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper

COSINE = 0.9995
# A latent of 16 x 16 where one is chosen: 16 times less work, the same weights.
FLAGS = {"unet": ["--batch", "2", "--latent-size", "16"]}
FLAGS |= {name: ["--latent-size", "16"] for name in ("vae-decoder", "vae-encoder", "taesd-decoder", "taesd-encoder")}
NETWORKS = [*FLAGS, "prior", "low-level", "clip-image", "backbone"]
MOVES = {"Reshape", "Transpose", "Slice", "Concat", "Expand", "Resize", "Identity", "Relu"}
ASIDE = [-1, 1, 1, 1, 1, 1]


def rounded(model):
    """`model`, float16, as one that rounds on any CPU; its last output is the largest activation."""
    graph = model.graph
    values = {v.name: v.type.tensor_type for v in [*graph.input, *graph.output, *graph.value_info]}
    nodes, largest = [], []
    graph.initializer.append(helper.make_tensor("aside", TensorProto.INT64, [len(ASIDE)], ASIDE))
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            nodes.append(helper.make_node("Cast", [f"{tensor.name}/stored"], [tensor.name], to=TensorProto.FLOAT))
            tensor.name += "/stored"
    for node in graph.node:
        out = node.output[0]
        if node.op_type == "Cast":
            node.op_type = "Identity"
            del node.attribute[:]
            rounds = values[out].elem_type == TensorProto.FLOAT16
        else:
            rounds = values[out].elem_type == TensorProto.FLOAT16 and node.op_type not in MOVES
        nodes.append(node)
        if rounds:
            node.output[0] = f"{out}/exact"
            shape = [d.dim_value for d in values[out].shape.dim]
            graph.initializer.append(helper.make_tensor(f"{out}/shape", TensorProto.INT64, [len(shape)], shape))
            nodes += [
                helper.make_node("Cast", [f"{out}/exact"], [f"{out}/half"], to=TensorProto.FLOAT16),
                helper.make_node("Reshape", [f"{out}/half", "aside"], [f"{out}/aside"]),
                helper.make_node("Cast", [f"{out}/aside"], [f"{out}/wide"], to=TensorProto.FLOAT),
                helper.make_node("Reshape", [f"{out}/wide", f"{out}/shape"], [out]),
                helper.make_node("Abs", [out], [f"{out}/abs"]),
                helper.make_node("ReduceMax", [f"{out}/abs"], [f"{out}/most"], keepdims=0),
            ]
            largest.append(f"{out}/most")
    nodes.append(helper.make_node("Max", largest, ["largest"]))
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]
    graph.output.append(helper.make_tensor_value_info("largest", TensorProto.FLOAT, []))
    return model


def run(path, feeds):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    return onnxruntime.InferenceSession(str(path), options).run(None, feeds)


def feeds_of(path, random):
    """Standard normal numbers for every input, whole steps for a timestep."""
    for value in onnx.load(str(path), load_external_data=False).graph.input:
        shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
        numbers = random.standard_normal(shape)
        yield value.name, (numpy.full(shape, 57.0) if value.name == "timestep" else numbers).astype(numpy.float32)


def check(exporter, name):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        answers = []
        for precision in ("fp32", "fp16"):
            flags = ["--random-init", "full", "--precision", precision, "--out", path, *FLAGS.get(name, [])]
            subprocess.run([exporter, "graph", name, *flags], check=True, stdout=subprocess.DEVNULL)
            if precision == "fp16":
                model = rounded(onnx.load(str(path), load_external_data=False))
                onnx.save(model, str(path))
            feeds = dict(feeds_of(path, numpy.random.default_rng(1)))
            answers.append(run(path, feeds))
    *half, largest = answers[1]
    cosine, worst = 1.0, 0.0
    for ours, exact in zip(half, answers[0]):
        a, b = ours.ravel().astype(numpy.float64), exact.ravel().astype(numpy.float64)
        cosine = min(cosine, float(a @ b / numpy.sqrt((a @ a) * (b @ b))))
        worst = max(worst, float((numpy.abs(a - b) / (1 + numpy.abs(b))).max()))
    print(f"{name}: cosine 1 - {1 - cosine:.1e}, worst {worst:.1e}, largest activation {float(largest):.0f}", flush=True)
    return cosine > COSINE


def main(arguments):
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 64
    exporter, *names = arguments
    return 0 if all([check(exporter, name) for name in names or NETWORKS]) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
