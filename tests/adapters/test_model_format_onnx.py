"""Graphs answer as the models that they were made from, and bring nothing from outside."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx  # type: ignore[import-untyped]  # ships no types
from sklearn.linear_model import LinearRegression, LogisticRegression  # type: ignore[import-untyped]  # ships no types

from anew.adapters.model_format import DataFormats
from anew.adapters.model_format_onnx import CLASSES, OnnxFormat
from anew.domain.errors import IntegrityError, SchemaError, TrainingError

X = np.random.default_rng(0).normal(size=(200, 3))


def graph(nodes: list[Any], outputs: list[Any], weights: list[Any] | None = None, domain: str = "") -> onnx.ModelProto:
    """Make a graph on the matrix ``x``."""
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3])
    named = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs]
    opset = [helper.make_opsetid("", 17)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    made = helper.make_graph(nodes, "g", [given], named, initializer=weights or [])
    return helper.make_model(made, opset_imports=opset, ir_version=8)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_classifier_answers_as_what_it_was_made_from(classes: int) -> None:
    labels = (X[:, 0] > 0).astype(int) if classes == 2 else np.digitize(X[:, 0], [-0.5, 0.5])
    model = LogisticRegression().fit(X, labels)
    made = to_onnx(model, X[:1], options={"zipmap": False})
    kept = DataFormats().accepting(made)
    assert kept.name == "onnx"
    assert kept.encode(made) == kept.encode(made)
    scores = kept.score(kept.decode(kept.encode(made)), X, classify=True)
    assert scores.proba is not None
    assert np.allclose(scores.proba, model.predict_proba(X), atol=1e-12)
    assert np.array_equal(scores.values, model.predict(X))
    assert kept.classes(made) is None
    made.metadata_props.add(key=CLASSES, value=json.dumps(["no", "yes"]))
    assert kept.classes(made) == ["no", "yes"]


def test_a_regression_answers_as_what_it_was_made_from() -> None:
    model = LinearRegression().fit(X, X @ [1.0, 2.0, 3.0] + 4)
    made = to_onnx(model, X[:1])
    scores = OnnxFormat().score(OnnxFormat().decode(OnnxFormat().encode(made)), X, classify=False)
    assert np.allclose(scores.values, model.predict(X))


def test_one_probability_is_that_of_the_second_class() -> None:
    weights = numpy_helper.from_array(np.array([[1.0], [0.0], [0.0]], dtype=np.float32), "w")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Sigmoid", ["z"], ["p"])]
    session = OnnxFormat().decode(OnnxFormat().encode(graph(nodes, [("p", [None, 1])], [weights])))
    scores = OnnxFormat().score(session, X, classify=True)
    assert scores.proba is not None
    assert np.array_equal(scores.values, X[:, 0] > 0)
    assert np.allclose(scores.proba.sum(axis=1), 1)


def outside_data() -> onnx.ModelProto:
    """Make a graph whose weights are any file that the server can read."""
    weights = numpy_helper.from_array(np.ones((3, 1), dtype=np.float32), "w")
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="../../keys/signing.key")
    return graph([helper.make_node("MatMul", ["x", "w"], ["y"])], [("y", [None, 1])], [weights])


def outside_data_in_a_node() -> onnx.ModelProto:
    """Make the same with the weights in a constant within a branch."""
    hidden = numpy_helper.from_array(np.ones((3, 1), dtype=np.float32), "w")
    hidden.ClearField("raw_data")
    hidden.data_location = TensorProto.EXTERNAL
    hidden.external_data.add(key="location", value="passwords")
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=hidden)],
        "inner",
        [],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, [3, 1])],
    )
    condition = numpy_helper.from_array(np.array(True), "always")
    nodes = [
        helper.make_node("If", ["always"], ["w"], then_branch=inner, else_branch=inner),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    return graph(nodes, [("y", [None, 1])], [condition])


@pytest.mark.fault("R2")
@pytest.mark.fault("R7")
@pytest.mark.parametrize(
    ("made", "says"),
    [
        (outside_data(), "outside of the file"),
        (outside_data_in_a_node(), "outside of the file"),
        (graph([helper.make_node("Run", ["x"], ["y"], domain="evil")], [("y", [None, 3])], domain="evil"), "evil"),
        (graph([helper.make_node("PyOp", ["x"], ["y"], domain="ai.onnx.contrib")], [("y", [None, 3])]), "contrib"),
        (graph([], []), "no output"),
    ],
)
def test_graphs_that_bring_something_are_refused_when_written_and_when_read(made: onnx.ModelProto, says: str) -> None:
    with pytest.raises(TrainingError, match=says):
        OnnxFormat().encode(made)
    with pytest.raises(IntegrityError, match=says):
        OnnxFormat().decode(made.SerializeToString())


@pytest.mark.fault("R7")
def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    unknown = graph([helper.make_node("NoSuchOperator", ["x"], ["y"])], [("y", [None, 3])]).SerializeToString()
    for data in (b"", b"x", b"{}", bytes(100), unknown):
        with pytest.raises(IntegrityError):
            OnnxFormat().decode(data)


def test_a_graph_that_takes_something_else_is_refused() -> None:
    given = [helper.make_tensor_value_info(name, TensorProto.INT64, [None, 3]) for name in ("x", "z")]
    answered = [helper.make_tensor_value_info("y", TensorProto.INT64, [None, 3])]
    made = helper.make_graph([helper.make_node("Add", ["x", "z"], ["y"])], "g", given, answered)
    session = OnnxFormat().decode(helper.make_model(made, ir_version=8).SerializeToString())
    with pytest.raises(SchemaError, match="not one matrix of floats"):
        OnnxFormat().score(session, X, classify=False)
