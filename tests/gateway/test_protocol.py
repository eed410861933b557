"""The Open Inference Protocol: with a real client, and tensor by tensor."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton  # type: ignore[import-untyped] # it has no types
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped] # likewise

from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.observation import Prediction
from anew.gateway.app import GatewayApp
from anew.gateway.infer_request import InferParser
from anew.gateway.refusal import RefusedError
from anew.gateway.settings import EventClock, GatewaySettings
from anew.testing.fake_journal import FakeJournal
from anew.testing.fake_predictor import FAKE_COLUMNS, FakePredictor
from tests.gateway.served import served
from tests.gateway.test_app import NOW, SETTINGS, call, champion, make, post

NUMBERS = Columns(
    time="at",
    target="y",
    task=Task.BINARY,
    classes=("no", "yes"),
    features=(Column(name="a", kind=ColumnKind.NUMBER), Column(name="b", kind=ColumnKind.NUMBER, nullable=False)),
)
PARSER = InferParser(GatewaySettings(model="m", columns=NUMBERS))
MIXED = InferParser(SETTINGS)


def tensor(name: str, values: Any, kind: str) -> triton.InferInput:
    array = np.array(values, dtype=object if kind == "BYTES" else {"FP64": np.float64, "INT64": np.int64}[kind])
    made = triton.InferInput(name, list(array.shape), kind)
    made.set_data_from_numpy(array, binary_data=False)
    return made


def test_a_real_client_asks_and_is_answered() -> None:
    journal = FakeJournal()
    app = make(journal, champion("amount"))
    with served(app) as place, triton.InferenceServerClient(place) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("m")
        assert client.get_server_metadata()["name"] == "anew"
        about = client.get_model_metadata("m")
        assert "versions" not in about, "who answers is not the caller's to choose"
        assert not client.is_model_ready("m", "v1")
        assert [(each["name"], each["datatype"]) for each in about["inputs"]] == [
            ("amount", "FP64"), ("shop", "BYTES"), ("count", "FP64"), ("customer", "BYTES"),
        ]  # fmt: skip
        inputs = [
            tensor("amount", [1.5, 2.5], "FP64"),
            tensor("shop", [b"x", b"y"], "BYTES"),
            tensor("count", [1, 2], "INT64"),
            tensor("customer", [b"c", b"d"], "BYTES"),
        ]
        said = client.infer("m", inputs, request_id="r7")
        assert said.as_numpy("output").tolist() == [1.5, 2.5]
        assert said.get_response()["id"] == "r7"
        assert said.get_response()["model_version"] == "v1"
        kept = [one for one in journal.records if isinstance(one, Prediction)]
        assert said.as_numpy("prediction_id").tolist() == [one.id for one in kept]
        assert [(one.row["count"], one.key) for one in kept] == [(1.0, "c"), (2.0, "d")]
        one = client.infer("m", inputs, outputs=[triton.InferRequestedOutput("arm", binary_data=False)])
        assert [each["name"] for each in one.get_response()["outputs"]] == ["arm"]
        with pytest.raises(InferenceServerException, match="'count' is missing"):
            client.infer("m", [*inputs[:2], inputs[3]])
        with pytest.raises(InferenceServerException, match=r"no version is chosen here.*: /v2/models/m/infer"):
            client.infer("m", inputs, model_version="v1")
        with pytest.raises(InferenceServerException, match="binary_data=False"):
            inputs[0].set_data_from_numpy(np.array([1.5, 2.5]))
            client.infer("m", inputs)
        with pytest.raises(InferenceServerException, match="there is no"):
            client.infer("other", inputs[1:])


def infer(parser: InferParser, *inputs: Any, **more: Any) -> list[dict[str, Any]]:
    asked = parser.parse(json.dumps({"inputs": list(inputs)} | more).encode(), NOW)
    return [dict(row.values) for row in asked.rows]


def column(name: str, data: list[Any], datatype: str = "FP64", shape: list[int] | None = None) -> dict[str, Any]:
    return {"name": name, "shape": [len(data)] if shape is None else shape, "datatype": datatype, "data": data}


def test_features_come_by_name_or_as_one_matrix_flat_or_nested() -> None:
    wanted = [{"a": 1.0, "b": 2.0}, {"a": None, "b": 4.0}]
    assert infer(PARSER, column("b", [2, 4], "INT8"), column("a", [1, None], shape=[2, 1])) == wanted
    assert infer(PARSER, column("predict", [1, 2, None, 4], "FP32", [2, 2])) == wanted
    assert infer(PARSER, column("x", [[1, 2], [None, 4]], "FP32", [2, 2])) == wanted
    timed = PARSER.parse(
        json.dumps({"inputs": [column("x", [1, 2], shape=[1, 2]), column("at", ["2026-01-01T00:00:00Z"], "BYTES")]})
        .encode(), NOW,
    )  # fmt: skip
    assert timed.rows[0].at.year == 2026
    assert timed.rows[0].timed


@pytest.mark.fault("V1")
@pytest.mark.fault("V4")
@pytest.mark.parametrize(
    ("inputs", "path"),
    [
        ([column("x", [1, 2, 3], shape=[1, 3])], "inputs[0].shape"),
        ([column("x", [1, 2, 3], shape=[1, 2])], "inputs[0].data"),
        ([column("x", [1, None], shape=[1, 2])], "inputs[0].data"),
        ([column("x", [1, "2"], shape=[1, 2])], "inputs[0].data"),
        ([column("x", [1, [2]], shape=[1, 2])], "inputs[0].data"),
        ([column("x", [1, True], shape=[1, 2])], "inputs[0].data[1]"),
        ([column("x", ["1", "2"], "BYTES", [1, 2])], "inputs[0].data"),
        ([column("x", [1, 2], "FP4", [1, 2])], "inputs[0].datatype"),
        ([column("x", [], shape=[0, 2])], "inputs[0].shape"),
        ([column("x", [], shape=[])], "inputs[0].shape"),
        ([column("x", [], shape=[10**6, 10**6])], "inputs[0].shape"),
        ([column("x", [1, 2], shape=[1, 2]), column("z", [1], shape=[1])], "inputs[1].name"),
        ([column("x", [1, 2], shape=[1, 2]), column("a", [1])], "inputs"),
        ([column("a", [1]), column("a", [1])], "inputs[1].name"),
        ([column("a", [1]), column("b", [1, 2])], "inputs[1].shape"),
        ([column("a", [1])], "inputs"),
        ([column("a", [1]), column("b", [1]), column("at", [1], "INT64")], "inputs[2].data"),
        ([column("a", [1]), column("b", [1]), column("at", [None], "BYTES")], "inputs[2].data"),
        ([column("a", [1]), column("b", [1]), column("at", ["noon"], "BYTES")], "rows[0].at"),
        ([column("a", [2**63]), column("b", [1])], "inputs[0].data[0]"),
        ([column("a", [1.5], "INT32"), column("b", [1])], "inputs[0].data"),
        ([column("a", [1]), column("b", [300], "UINT8")], "inputs[1].data"),
        ([column("a", [None, -129], "INT8"), column("b", [1, 1])], "inputs[0].data"),
        ([column("x", [1, 1e39], "FP32", [1, 2])], "inputs[0].data"),
        ([column("x", [1, 2.0**128 - 2.0**103], "FP32", [1, 2])], "inputs[0].data"),
        ([column("x", [1, 65520], "FP16", [1, 2])], "inputs[0].data"),
        ([column("x", [1, 2.5], "INT64", [1, 2])], "inputs[0].data"),
        ([column("x", [1, -7e4], "FP16", [1, 2])], "inputs[0].data"),
        ([column("x", [1, -1], "UINT64", [1, 2])], "inputs[0].data"),
        ([column("x", [1, 1e19], "INT64", [1, 2])], "inputs[0].data"),
        ([], "inputs"),
    ],
)
def test_tensors_beside_the_contract_are_refused(inputs: list[Any], path: str) -> None:
    with pytest.raises(RefusedError) as caught:
        infer(PARSER, *inputs)
    assert (caught.value.status, caught.value.path) == (422, path)


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ([column("a", ["1"]), column("b", [1])], "'a' has numbers, found texts"),
        ([column("a", [1], "BYTES"), column("b", [1])], "'a' has numbers, found BYTES"),
        ([column("a", [1, 2, 3]), column("b", [1, 2])], "the shape [2]; with the 3 rows of the first tensor it has"),
        ([column("x", [1, 2, 3], shape=[1, 3])], "has the shape [1, 2] here, found [1, 3]"),
        ([column("a", [1.5], "INT32"), column("b", [1])], "'a' is of INT32, which has no 1.5"),
    ],
)
def test_what_is_said_of_a_tensor_is_what_was_found(inputs: list[Any], said: str) -> None:
    with pytest.raises(RefusedError) as caught:
        infer(PARSER, *inputs)
    assert said in str(caught.value)


def test_the_least_and_the_greatest_that_a_datatype_has_are_taken() -> None:
    limits: dict[str, list[float]] = {
        "INT8": [-128, 127.0], "UINT8": [0, 255], "INT64": [-(2**63), 2**63 - 1], "FP32": [-3.4028235e38, 3.4028235e38],
        "FP16": [-65504, 65504],
    }  # fmt: skip
    for datatype, data in limits.items():
        wanted = [{"a": float(data[0]), "b": float(data[1])}]
        assert infer(PARSER, column("x", data, datatype, [1, 2])) == wanted
        assert infer(PARSER, column("a", data[:1], datatype), column("b", data[1:], datatype)) == wanted


CAREFUL = InferParser(GatewaySettings(model="m", columns=NUMBERS))
CAREFUL._usual = None  # reads everything with the same care
NUMBER = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**64), 2**64),
    st.sampled_from([0, -0.0, 2**63 - 1, 2**63, -(2**63), 1e300]),
)
CELL: st.SearchStrategy[Any] = st.one_of(NUMBER, NUMBER, NUMBER, st.sampled_from([None, True, "1", [1.0], {}]))
BODY = st.fixed_dictionaries(
    {"inputs": st.lists(st.fixed_dictionaries({
        "name": st.sampled_from(["x", "x", "a:b", "a", "at"]),
        "shape": st.one_of(st.just([1, 2]), st.just([2, 2]), st.lists(st.integers(-1, 3), max_size=3)),
        "datatype": st.sampled_from(["FP64", "FP64", "FP32", "FP16", "INT64", "UINT8", "BYTES", "FP4"]),
        "data": st.one_of(st.lists(NUMBER, min_size=2, max_size=2), st.lists(CELL, max_size=5)),
    }), min_size=1, max_size=2)},
    optional={"id": st.sampled_from(["", "r:1", 7]), "outputs": st.just([{"name": "arm"}]), "more": st.just(1)},
)  # fmt: skip


def read(parser: InferParser, body: bytes) -> Any:
    try:
        return parser.parse(body, NOW)
    except RefusedError as exc:
        return exc.status, exc.code, str(exc), exc.path


@given(body=BODY, space=st.sampled_from(["", " ", "\n"]))
def test_the_usual_body_is_read_as_every_other_is(body: dict[str, Any], space: str) -> None:
    raw = json.dumps(body, separators=(f",{space}", f":{space}")).encode()
    assert read(PARSER, raw) == read(CAREFUL, raw)


def test_control_the_usual_body_takes_the_quick_way_and_no_body_with_a_trap_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = json.dumps({"inputs": [column("x", [1, 2.5], shape=[1, 2])], "id": "r"}).encode()
    twice, escaped = raw.replace(b'"id"', b'"id": "q", "id"'), raw.replace(b'"r"', b'"\\u003a"')
    careful = read(CAREFUL, raw)
    monkeypatch.setattr("anew.gateway.infer_request.decode", lambda *_: pytest.fail("the careful way"))
    assert read(PARSER, raw) == careful
    for trap in (twice, escaped):
        with pytest.raises(pytest.fail.Exception):
            read(PARSER, trap)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"shop": [1]}, "inputs[1].data"),
        ({"shop": ["a\x00"]}, "rows[0].shop"),
        ({"count": [None]}, "inputs[2].data"),
        ({"amount": ["1"]}, "inputs[0].data"),
        ({"customer": None}, "inputs"),
    ],
)
def test_columns_of_other_kinds_are_refused(change: dict[str, Any], path: str) -> None:
    told: dict[str, Any] = {"amount": [1.0], "shop": ["x"], "count": [1], "customer": ["c"], "age": [30]} | change
    kinds = {"shop": "BYTES", "customer": "BYTES", "age": "INT64"}
    inputs = [column(name, data, kinds.get(name, "FP64")) for name, data in told.items() if data is not None]
    with pytest.raises(RefusedError) as caught:
        infer(MIXED, *inputs)
    assert (caught.value.status, caught.value.path) == (422, path)


def test_a_vector_has_numbers_that_have_a_mean() -> None:
    features = (Column(name="view", kind=ColumnKind.VECTOR, width=2),)
    parser = InferParser(GatewaySettings(model="m", columns=replace(NUMBERS, features=features)))
    assert infer(parser, column("view", [1, -1e100], shape=[1, 2])) == [{"view": (1.0, -1e100)}]
    for data, said in (([1, 1e308], "1e\\+308 is no number from"), ([1, None], "may not be null")):
        with pytest.raises(RefusedError, match=f"'view'.*{said}"):
            infer(parser, column("view", data, shape=[1, 2]))


def test_where_time_comes_with_the_data_a_client_finds_that_it_is_an_input() -> None:
    app = make(FakeJournal(), champion(), replace(SETTINGS, clock=EventClock.DATA))
    inputs = asyncio.run(call(app, "/v2/models/m", method="GET"))[1]["inputs"]
    assert inputs[-1] == {"name": "at", "datatype": "BYTES", "shape": [-1]}
    cells: dict[str, list[Any]] = {
        "amount": [1.0],
        "shop": ["x"],
        "count": [2],
        "customer": ["c"],
        "at": ["2026-01-01T00:00:00Z"],
    }
    whole = {"inputs": [column(each["name"], cells[each["name"]], each["datatype"]) for each in inputs]}
    assert post(app, "/v2/models/m/infer", whole)[0] == 200
    status, said = post(app, "/v2/models/m/infer", {"inputs": whole["inputs"][:-1]})
    assert (status, said["message"], said["path"]) == (422, "the tensor 'at' is missing", "inputs")


def test_unknown_outputs_keys_twice_and_other_numbers_than_json_has_are_refused() -> None:
    good = [column("x", [1, 2], shape=[1, 2])]
    with pytest.raises(RefusedError, match="no output 'score'"):
        infer(PARSER, *good, outputs=[{"name": "score"}])
    assert infer(PARSER, *good, outputs=[{"name": "arm", "parameters": {"a:b": "c:d"}}], parameters={"p": 1}, id="a:b")
    for body in (
        b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP64","data":[1,2],"data":[1,2]}]}',
        b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP64","data":[1,NaN]}]}',
        b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP64","data":[1,1e400]}]}',
    ):
        with pytest.raises(RefusedError):
            PARSER.parse(body, NOW)


def test_probabilities_are_a_tensor_of_their_own() -> None:
    settings = GatewaySettings(model="m", columns=NUMBERS)

    class Sure(FakePredictor):
        """Says yes."""

        def answer(self, rows: Any) -> Any:
            """Say it."""
            return [replace(FakePredictor.answer(self, [row])[0], output="yes", proba=(0.25, 0.75)) for row in rows]

    app = make(FakeJournal(), Sure(version="v1", digest="d", columns=NUMBERS), settings)
    status, body = post(app, "/v2/models/m/infer", {"inputs": [column("x", [1, 2, 3, 4], shape=[2, 2])]})
    assert status == 200
    said = {each["name"]: (each["datatype"], each["shape"], each["data"]) for each in body["outputs"]}
    assert said["output"] == ("BYTES", [2], ["yes", "yes"])
    assert said["proba"] == ("FP64", [2, 2], [0.25, 0.75, 0.25, 0.75])


def test_several_models_are_told_apart_by_their_paths() -> None:
    one = make(FakeJournal(), champion("amount")).endpoints[0]
    journal = FakeJournal()
    two = make(journal, FakePredictor(version="v9", digest="d", value=9.0), replace(SETTINGS, model="n")).endpoints[0]
    app = GatewayApp([one, two])
    row = {"amount": 1.5, "shop": "x", "count": 2, "customer": "c"}
    assert post(app, "/models/n/predict", {"row": row})[1]["version"] == "v9"
    assert post(app, "/models/m/predict", {"row": row})[1]["predictions"][0]["output"] == 1.5
    assert len(journal.records) == 1
    assert post(app, "/predict", {"row": row})[0] == 404
    assert asyncio.run(call(app, "/v2/models/n/ready", method="GET")) == (200, {"name": "n", "ready": True})
    assert set(asyncio.run(call(app, "/ready", method="GET"))[1]["models"]) == {"m", "n"}
    assert asyncio.run(call(app, "/v2/models/x/infer"))[1]["code"] == "not_found"
    assert SETTINGS.columns == FAKE_COLUMNS
