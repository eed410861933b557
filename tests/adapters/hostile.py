"""Files made to run code, to reach outside, or to eat the memory of whoever reads them; made here, never kept."""

import io
import json
import pickle
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]  # ships no types
import numpy as np

__all__ = ["corpus", "onnx_corpus", "payload"]


class payload:  # noqa: N801  it pretends to be a plain function
    """An object whose pickle writes the canary when it is read."""

    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return eval, (f"__import__('pathlib').Path({str(self._canary)!r}).write_text('ran')",)


def corpus(canary: Path) -> Mapping[str, bytes]:
    """Return files by name."""
    evil = payload(canary)
    plain = {f"pickle-{protocol}": pickle.dumps(evil, protocol) for protocol in range(6)}
    return plain | {
        "pickle-in-a-list": pickle.dumps([1.0, {"model": evil}]),
        "pickle-after-text": b"tree\nversion=v4\n" + pickle.dumps(evil),
        "pickle-by-opcodes": f"cbuiltins\neval\n(Vopen({str(canary)!r}, 'w').close()\ntR.".encode(),
        "pickle-deflated": zlib.compress(pickle.dumps(evil)),
        "joblib": _joblib(evil, 0),
        "joblib-deflated": _joblib(evil, 3),
        "npy-of-objects": _npy(evil),
        "npz-of-objects": _npz(evil),
        "torch-archive": _zipped({"model/data.pkl": pickle.dumps(evil), "model/version": b"3\n"}),
        "keras-lambda": _zipped({"config.json": json.dumps({"class_name": "Lambda", "config": "eval"}).encode()}),
        "skops-function": _skops(
            {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode", "content": {}}
        ),
        "skops-partial": _skops(_partial("os", "system", f"touch {canary}")),
        "skops-eval-type": _skops(
            {"__class__": "eval", "__module__": "builtins", "__loader__": "TypeNode", "content": {}}
        ),
        "skops-method": _skops(_method(canary)),
        "skops-reduce": _skops(_reduced(canary)),
        "skops-object": _skops(
            {"__class__": "Popen", "__module__": "subprocess", "__loader__": "ObjectNode", "content": {}}
        ),
        "skops-operator": _skops(
            {"__class__": "methodcaller", "__module__": "operator", "__loader__": "OperatorFuncNode", "attrs": ["eval"]}
        ),
        "skops-loader-unknown": _skops({"__class__": "x", "__module__": "y", "__loader__": "NoSuchNode", "content": 1}),
        "skops-array-of-objects": _skops(
            {
                "__class__": "ndarray",
                "__module__": "numpy",
                "__loader__": "NdArrayNode",
                "type": "numpy",
                "file": "1.npy",
            },
            {"1.npy": _npy(evil)},
        ),
        "skops-names-a-path": _skops(
            {
                "__class__": "ndarray",
                "__module__": "numpy",
                "__loader__": "NdArrayNode",
                "type": "numpy",
                "file": "../../../etc/passwd",
            }
        ),
        "tar-traversal": _tar({f"../../../..{canary}": b"ran"}),
        "tar-link": _tar({}, link="/etc/passwd"),
        "tar-deflated": _tar({str(canary): b"ran"}, mode="w:gz"),
        "zip-traversal": _zipped({f"../../../..{canary}": b"ran", "schema.json": b"{}"}),
        "lightgbm-no-tree": b"tree\nversion=v4\nnum_class=1\nmax_feature_idx=2\nobjective=regression\n",
        "lightgbm-classes": b"tree\nversion=v4\nnum_class=-5\nnum_tree_per_iteration=-1\nmax_feature_idx=-1\n\n",
        "xgboost-not-a-model": b'{"learner": {"objective": {"name": "eval"}}}',
        "yaml-object": f"!!python/object/apply:os.system ['touch {canary}']".encode(),
    }


def onnx_corpus(canary: Path) -> Mapping[str, bytes]:
    """Return graphs that reach outside of themselves; onnx has to be installed."""
    from onnx import TensorProto, helper

    def graph(node: Any, initial: Any = (), opsets: tuple[str, ...] = ("",)) -> Any:
        x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2]) for name in "xy")
        made = helper.make_graph([node], "g", [x], [y], initializer=list(initial))
        return helper.make_model(made, opset_imports=[helper.make_opsetid(each, 17) for each in opsets], ir_version=10)

    def outside(place: str) -> bytes:
        tensor = helper.make_tensor("w", TensorProto.FLOAT, [2], [0.0, 0.0])
        tensor.ClearField("float_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=place)
        return bytes(graph(helper.make_node("Add", ["x", "w"], ["y"]), [tensor]).SerializeToString())

    foreign = helper.make_node("Run", ["x"], ["y"], domain="com.evil")
    inner = helper.make_graph(
        [foreign], "inner", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])]
    )
    hidden = helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)
    return {
        "onnx-outside-passwd": outside("/etc/passwd"),
        "onnx-outside-up": outside("../../../../etc/passwd"),
        "onnx-outside-canary": outside(str(canary)),
        "onnx-foreign-operator": graph(foreign, opsets=("", "com.evil")).SerializeToString(),
        "onnx-foreign-in-a-branch": graph(hidden, opsets=("",)).SerializeToString(),
    }


def _joblib(evil: object, compress: int) -> bytes:
    out = io.BytesIO()
    joblib.dump(evil, out, compress=compress)
    return out.getvalue()


def _npy(evil: object) -> bytes:
    out = io.BytesIO()
    np.save(out, np.array([evil], dtype=object), allow_pickle=True)
    return out.getvalue()


def _npz(evil: object) -> bytes:
    out = io.BytesIO()
    np.savez(out, model=np.array([evil], dtype=object))
    return out.getvalue()


def _zipped(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def _skops(schema: Mapping[str, Any], files: Mapping[str, bytes] | None = None) -> bytes:
    text = json.dumps({**schema, "protocol": 2, "_skops_version": "0.16"}).encode()
    return _zipped({"schema.json": text, **(files or {})})


def _partial(module: str, name: str, argument: str) -> Mapping[str, Any]:
    function = {"__class__": name, "__module__": module, "__loader__": "FunctionNode", "content": {}}
    said = {
        "__class__": "str",
        "__module__": "builtins",
        "__loader__": "JsonNode",
        "content": json.dumps(argument),
        "is_json": True,
    }
    arguments = {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": [said]}
    empty = {
        "__class__": "dict",
        "__module__": "builtins",
        "__loader__": "DictNode",
        "content": {},
        "key_types": {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": []},
    }
    content = {"func": function, "args": arguments, "kwds": empty, "namespace": empty}
    return {"__class__": "partial", "__module__": "functools", "__loader__": "PartialNode", "content": content}


def _method(canary: Path) -> Mapping[str, Any]:
    owner = {
        "__class__": "PosixPath",
        "__module__": "pathlib",
        "__loader__": "ObjectNode",
        "content": {"_raw": str(canary)},
    }
    return {
        "__class__": "touch",
        "__module__": "pathlib",
        "__loader__": "MethodNode",
        "content": {"func": "touch", "obj": owner},
    }


def _reduced(canary: Path) -> Mapping[str, Any]:
    code = {
        "__class__": "str",
        "__module__": "builtins",
        "__loader__": "JsonNode",
        "content": json.dumps(f"open({str(canary)!r}, 'w')"),
        "is_json": True,
    }
    arguments = {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": [code]}
    return {
        "__class__": "eval",
        "__module__": "builtins",
        "__loader__": "TreeNode",
        "reduce": {"args": arguments},
        "content": code,
    }


def _tar(files: Mapping[str, bytes], *, link: str = "", mode: Any = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        if link:
            entry = tarfile.TarInfo("model.skops")
            entry.type, entry.linkname = tarfile.SYMTYPE, link
            archive.addfile(entry)
    return out.getvalue()
