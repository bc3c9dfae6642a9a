"""Judges `mindeye-train evaluate --features` by a real network: MobileNetV2 on the 92 object pictures, whole and degraded.

    python tests/oracle/_mobilenet_features.py mindeye-train SHARED_DATA SCRATCH     (needs torch 2.11.0 and onnxruntime 1.31.1 too)

Builds the ONNX file out of SHARED_DATA/mobilenet, a training folder of the pictures, and degraded pictures as reconstructions;
then computes the same features in Python (bilinear with antialiasing in torch, ONNX Runtime) and the metrics in numpy.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from safetensors.numpy import load_file


def mobilenet(folder):
    """f32[1, 3, 224, 224] in -1..1 to the 1280 pooled features."""
    graph, weights = json.loads((folder / "mobilenet_v2_graph.json").read_text()), load_file(folder / "mobilenet_v2_1.0_224_dequant_f32.safetensors")
    nodes, tensors, name = [], [], {0: "pixels"}
    for op in graph:
        inputs = [name.get(i, "pixels") for i in op["in"]]
        out = f"t{op['out']}"
        if "CONV" in op["op"]:
            key, depthwise = f"{op['n']:02}", op["op"].startswith("DEPTH")
            order, group = ((3, 0, 1, 2), op["wshape"][3]) if depthwise else ((0, 3, 1, 2), 1)
            tensors += [numpy_helper.from_array(np.ascontiguousarray(weights[f"{key}.weight"].transpose(order)), f"w{key}"),
                        numpy_helper.from_array(weights[f"{key}.bias"], f"b{key}")]
            linear = out + "_linear" if op["relu6"] else out
            nodes.append(helper.make_node("Conv", [*inputs, f"w{key}", f"b{key}"], [linear], auto_pad="SAME_UPPER",
                                          group=group, strides=[op["stride"]] * 2))
            if op["relu6"]:
                nodes.append(helper.make_node("Clip", [linear, "zero", "six"], [out]))
        elif op["op"] == "ADD":
            nodes.append(helper.make_node("Add", inputs, [out]))
        elif op["op"] == "AVERAGE_POOL_2D":
            nodes.append(helper.make_node("GlobalAveragePool", inputs, ["features"]))
            break
        name[op["out"]] = out
    tensors += [numpy_helper.from_array(np.float32(v), n) for v, n in ((0, "zero"), (6, "six"))]
    info = lambda n, shape: helper.make_tensor_value_info(n, TensorProto.FLOAT, shape)
    drawn = helper.make_graph(nodes, "mobilenet_v2", [info("pixels", [1, 3, 224, 224])], [info("features", [1, 1280, 1, 1])], tensors)
    model = helper.make_model(drawn, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def features(session, pictures):
    x = torch.from_numpy(pictures.astype(np.float64) / 255).permute(0, 3, 1, 2)
    x = torch.nn.functional.interpolate(x, size=224, mode="bilinear", align_corners=False, antialias=True)
    x = ((x - 0.5) / 0.5).float().numpy()
    return np.stack([session.run(None, {"pixels": one[None]})[0].ravel() for one in x])


def main():
    program, shared, scratch = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    scratch.mkdir(parents=True)
    onnx.save(mobilenet(shared / "mobilenet"), scratch / "mobilenet.onnx")
    (scratch / "mobilenet.toml").write_text('onnx = "mobilenet.onnx"\ninput = "pixels"\nside = 224\noutput = "features"\n'
                                            "shape = [1, 1280, 1, 1]\nmean = [0.5, 0.5, 0.5]\nsd = [0.5, 0.5, 0.5]\n")
    source = np.load(shared / "kriegeskorte92/hIT_gram_coordinates.npz")
    real, rng = source["images"], np.random.default_rng(0)
    made = np.clip(0.7 * real + 38 + 30 * rng.standard_normal(real.shape), 0, 255).astype(np.uint8)
    data, out = scratch / "data", scratch / "made"
    (data / "images").mkdir(parents=True)
    out.mkdir()
    for i in range(92):
        Image.fromarray(real[i]).save(data / f"images/obj{i:02}.png")
        Image.fromarray(made[i]).save(out / f"obj{i:02}.png")
    np.save(data / "voxels.npy", np.zeros((92, 2), dtype=np.float32))
    np.save(data / "targets.npy", source["mobilenetv2_embedding"].reshape(92, 1, 1280))
    lines = [f"{i}\tobj{i:02}\ttest\ts1\tr1" for i in range(92)]
    (data / "trials.tsv").write_text("trial\timage\tsplit\tsession\trun\n" + "\n".join(lines) + "\n")
    (data / "dataset.toml").write_text('beta_unit = "none"\n')
    report = scratch / "report.json"
    subprocess.run([program, "evaluate", "--predictions", data / "targets.npy", "--data", data, "--out", report,
                    "--reconstructions", out, "--features", scratch / "mobilenet.toml"], check=True)
    ours = json.loads(report.read_text())["reconstruction"]["features"]["mobilenet"]
    session = onnxruntime.InferenceSession(str(scratch / "mobilenet.onnx"))
    r, p = features(session, real), features(session, made)
    c = np.corrcoef(r, p)[:92, 92:]
    theirs = {"two_way": float((c < np.diag(c)).sum() / (92 * 91)), "correlation_distance": float(np.mean(1 - np.diag(c)))}
    own = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(r, source["mobilenetv2_embedding"])])
    print(json.dumps({"ours": ours, "theirs": theirs, "features_against_the_stored_embedding_r": own}, indent=1))
    # A pair of nearly equal correlations may fall either way; the distance is a mean of f32 features.
    assert abs(ours["two_way"]["value"] - theirs["two_way"]) < 1e-3
    assert abs(ours["correlation_distance"] - theirs["correlation_distance"]) < 1e-4


if __name__ == "__main__":
    main()
