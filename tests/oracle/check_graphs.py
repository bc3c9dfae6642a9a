"""Judges exported graphs with the ONNX project's own tools, which share no code with the exporter.

    python check_graphs.py F.onnx...     checker and shape inference
    python check_graphs.py BUNDLE...     the same for every network, then its golden case in ONNX's numpy evaluator

For each graph: onnx.checker accepts it (with its external data); shapes inferred from the operators alone are those that
the exporter wrote on every wire; the metadata names weights, exporter and precision. Ends with 0 if all of it holds,
with 1 otherwise, one line per finding.
"""

import sys
from pathlib import Path

import numpy
import onnx
import onnx.checker
import onnx.reference
import onnx.shape_inference
from safetensors.numpy import load_file

METADATA = ("weights_sha256", "exporter_version", "precision")
# ONNX's evaluator and the reference sum float32 and float64 products in another order; outputs are of order one.
TOLERANCE = 1e-4


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


def check_golden(path, golden):
    """Outputs of the graph in `path` that are not its golden ones."""
    session = onnx.reference.ReferenceEvaluator(str(path))
    case = {key.removeprefix(f"{path.stem}/"): value for key, value in golden.items() if key.startswith(f"{path.stem}/")}
    missing = [name for name in session.input_names + session.output_names if name not in case]
    if missing:
        yield f"no golden {', '.join(missing)}"
        return
    found = session.run(None, {name: case[name] for name in session.input_names})
    for name, value in zip(session.output_names, found):
        largest = float(numpy.abs(value - case[name]).max())
        if not largest <= TOLERANCE:
            yield f"{name}: differs from its golden case by up to {largest:.2e}, allowed {TOLERANCE:.0e}"


def findings(place):
    """(graph, finding) for everything wrong at `place`; (graph, None) for a graph that is right."""
    bundle = place.is_dir()
    graphs = sorted((place / "networks").glob("*.onnx")) if bundle else [place]
    golden = load_file(place / "golden.safetensors") if bundle else None
    if not graphs:
        yield place, "holds no networks"
    for path in graphs:
        found = list(check_graph(path))
        if bundle and not found:
            found = list(check_golden(path, golden))
        yield from ((path, finding) for finding in found or [None])


def main(arguments):
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 64
    wrong = 0
    for argument in arguments:
        for path, finding in findings(Path(argument)):
            print(f"{path}: {finding or 'right'}")
            wrong += finding is not None
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
