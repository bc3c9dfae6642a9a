"""Judges exported graphs with the ONNX project's own tools, which share no code with the exporter.

    python check_graphs.py F.onnx...     checker and shape inference
    python check_graphs.py BUNDLE...     the same for every network, then its golden case in ONNX's numpy evaluator
    python check_graphs.py               the same for two demo bundles, fp32 and fp16, that it has made

For each graph: onnx.checker accepts it (with its external data); shapes inferred from the operators alone are those that
the exporter wrote on every wire; the metadata names weights, exporter and precision. Ends with 0 if all of it holds,
with 1 otherwise, one line per finding. Golden cases of half-precision graphs are left out: numpy sums float16 in float16,
which overflows in a group normalisation of a picture and which no runtime does.
"""

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import numpy
import onnx
import onnx.checker
import onnx.reference
import onnx.shape_inference
from safetensors.numpy import load_file

METADATA = ("weights_sha256", "exporter_version", "precision", "precision_policy", "parameters", "tensors")


def shapes(values):
    """Name and shape of each value."""
    return {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}


def check_shapes(model):
    """Wires whose written shape is not the inferred one."""
    graph = model.graph
    written = shapes(graph.value_info) | shapes(graph.output)
    del graph.value_info[:]
    inferred_graph = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True).graph
    inferred = shapes(inferred_graph.value_info) | shapes(inferred_graph.output)
    produced = {name for node in graph.node for name in node.output}
    for name in sorted(produced):
        if written.get(name) != inferred.get(name):
            yield f"{name}: the exporter wrote shape {written.get(name)}, the operators give {inferred.get(name)}"


def check_graph(path):
    """Everything wrong with the graph in the file `path`."""
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        yield str(error)
        return
    model = onnx.load(str(path))
    keys = {entry.key for entry in model.metadata_props}
    yield from (f"metadata lacks {key}" for key in METADATA if key not in keys)
    model = onnx.load(str(path), load_external_data=False)
    yield from check_shapes(model)


def check_golden(path, golden, tolerance):
    """Outputs of the graph in `path` that are farther from its golden ones than the bundle's manifest allows."""
    session = onnx.reference.ReferenceEvaluator(str(path))
    case = {key.removeprefix(f"{path.stem}/"): value for key, value in golden.items() if key.startswith(f"{path.stem}/")}
    missing = [name for name in session.input_names + session.output_names if name not in case]
    if missing:
        yield f"no golden {', '.join(missing)}"
        return
    found = session.run(None, {name: case[name] for name in session.input_names})
    for name, value in zip(session.output_names, found):
        largest = float((numpy.abs(value - case[name]) / (1 + numpy.abs(case[name]))).max())
        if not largest <= tolerance:
            yield f"{name}: differs from its golden case by up to {largest:.2e}, allowed {tolerance:.0e}"


def findings(place):
    """(graph, finding) for everything wrong at `place`; (graph, None) for a graph that is right."""
    bundle = place.is_dir()
    graphs = sorted((place / "networks").glob("*.onnx")) if bundle else [place]
    golden = load_file(place / "golden.safetensors") if bundle else None
    manifest = tomllib.loads((place / "manifest.toml").read_text()) if bundle else {"network": []}
    single = {network["name"]: network["tolerance"] for network in manifest["network"] if network["precision"] == "fp32"}
    if not graphs:
        yield place, "holds no networks"
    for path in graphs:
        found = list(check_graph(path))
        if path.stem in single and not found:
            found = list(check_golden(path, golden, single[path.stem]))
        yield from ((path, finding) for finding in found or [None])


def check(places):
    """How many findings there are at `places`; one line for each, and one for each graph that is right."""
    wrong = 0
    for path, finding in (pair for place in places for pair in findings(place)):
        print(f"{path}: {finding or 'right'}")
        wrong += finding is not None
    return wrong


def exporter():
    """The `mindeye-export` that was built in this repository, the optimised one first."""
    target = Path(__file__).resolve().parents[2] / "target"
    built = (target / profile / "mindeye-export" for profile in ("release", "debug"))
    return next((program for program in built if program.exists()), None)


def check_demo_bundles():
    """Checks bundles of every network that the exporter makes without weights."""
    program = exporter()
    if program is None:
        print("skipped: no mindeye-export in target/; cargo build -p mindeye-exporter makes it")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / precision for precision in ("fp32", "fp16")]
        for place in places:
            command = [program, "bundle", "--random-init", "demo", "--precision", place.name, "--out", place]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return check(places)


def main(arguments):
    wrong = check(map(Path, arguments)) if arguments else check_demo_bundles()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
