"""Labels in files and tables: each row once, however often it is sent, and what is wrong named with its row."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from anew.app.label_file import LabelColumns, send_labels
from anew.app.log_file import LogTaker
from anew.domain.column import Columns, Task
from anew.domain.errors import NotFoundError, SchemaError, SettingsError, UnavailableError
from anew.gateway.app import GatewayApp
from anew.notebook.client import Client
from anew.testing.fake_journal import FakeJournal
from anew.testing.fake_predictor import FAKE_COLUMNS
from tests.app.small_project import YAML
from tests.cli.call import call
from tests.cli.recorded import write_record
from tests.gateway.served import served
from tests.gateway.test_app import SETTINGS, make

IDS = [f"{i:032x}" for i in range(4)]
NAMED = LabelColumns()


class Taker(LogTaker):
    """Notes what it is told."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.told: list[Mapping[str, Any]] = []

    def post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Note it, as it would go over the wire."""
        assert path == "/labels"
        self.told += json.loads(json.dumps(body, allow_nan=False))["labels"]
        return {}


def sent(
    folder: Path, ending: str, source: str = "", declared: Columns = FAKE_COLUMNS, **columns: Any
) -> tuple[list[Mapping[str, Any]], Any]:
    frame, file, taker = pl.DataFrame(columns, strict=False), folder / f"labels{ending}", Taker()
    folder.mkdir(exist_ok=True)
    if ending == ".parquet":
        frame.write_parquet(file)
    elif ending == ".csv":
        frame.write_csv(file)
    else:
        frame.write_delta(str(file))
    return taker.told, send_labels(file, NAMED, source, taker, declared)


@pytest.mark.fault("L3")
@pytest.mark.parametrize("ending", [".parquet", ".csv", ""])
def test_a_row_is_one_label_and_the_same_one_when_it_is_sent_again(tmp_path: Path, ending: str) -> None:
    at = [datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in range(4)]
    columns: dict[str, Any] = {"prediction": IDS, "value": [1, 0, None, 1], "at": at, "revision": [0, 1, 2, 3]}
    told, counts = sent(tmp_path, ending, "crm", **columns)
    assert (counts.labels, counts.withdrawn, counts.empty) == (3, 0, 1)
    assert [(each["prediction"], each["value"], each["source"], each["revision"]) for each in told] == [
        (IDS[0], 1, "crm", 0), (IDS[1], 0, "crm", 1), (IDS[3], 1, "crm", 3),
    ]  # fmt: skip
    assert datetime.fromisoformat(told[1]["at"]) == at[1]
    again, _ = sent(tmp_path / "again", ending, "crm", **columns)
    assert [each["id"] for each in again] == [each["id"] for each in told]
    other, _ = sent(tmp_path / "other", ending, "ops", **columns)
    assert not {each["id"] for each in other} & {each["id"] for each in told}, "another source's word is another"


def test_a_row_may_take_its_word_back_and_bear_a_name_of_its_own(tmp_path: Path) -> None:
    told, counts = sent(
        tmp_path, ".parquet", prediction=IDS[:2], value=[1.0, float("nan")], withdraw=[False, True], id=["a-1", "a-2"]
    )
    assert counts.withdrawn == 1
    assert told == [
        {"prediction": IDS[0], "value": 1.0, "id": "a-1"},
        {"prediction": IDS[1], "withdraw": True, "id": "a-2"},
    ]


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
@pytest.mark.parametrize(
    ("yes", "no"), [("yes", "no"), ("TRUE", "False"), (" Yes", "NO"), ("1", "0"), (1, 0), (1.0, 0.0), (True, False)]
)
def test_a_row_takes_its_word_back_where_it_says_so(tmp_path: Path, ending: str, yes: Any, no: Any) -> None:
    columns: dict[str, Any] = {"prediction": IDS[:3], "value": [None, 2.5, 3.5], "withdraw": [yes, no, None]}
    told, counts = sent(tmp_path, ending, **columns)
    assert [each.get("value") for each in told] == [None, 2.5, 3.5]
    assert [each.get("withdraw") for each in told] == [True, None, None]
    assert (counts.labels, counts.withdrawn) == (3, 1)


def test_a_withdraw_that_says_neither_is_refused_with_its_row_before_anything_is_sent(tmp_path: Path) -> None:
    taker, file = Taker(), tmp_path / "labels.csv"
    pl.DataFrame({"prediction": IDS[:2], "value": [1.5, 2.5], "withdraw": ["no", "n"]}).write_csv(file)
    with pytest.raises(SchemaError, match=r"^row 2 of labels.csv: withdraw: 'n' is none of true, yes, 1, false, no, 0"):
        send_labels(file, NAMED, "", taker, FAKE_COLUMNS)
    assert taker.told == []


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
@pytest.mark.parametrize("number", [float("inf"), -float("inf")])
def test_an_infinite_value_is_refused_with_its_row_before_anything_is_sent(
    tmp_path: Path, ending: str, number: float
) -> None:
    file, taker = tmp_path / f"labels{ending}", Taker()
    frame = pl.DataFrame({"prediction": IDS[:3], "value": [1.5, number, float("nan")]})
    frame.write_csv(file) if ending == ".csv" else frame.write_parquet(file)
    with pytest.raises(SchemaError, match=f"^row 2 of labels{ending}: value: {number} is not finite"):
        send_labels(file, NAMED, "", taker, FAKE_COLUMNS)
    assert taker.told == []


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        ({"withdraw": ["no", "yes"]}, "row 2 of truth.csv: value: give either a `value` or `withdraw`: true"),
        ({"revision": [1.0, 1.5]}, "row 2 of truth.csv: revision: Expected `int`"),
        ({"revision": ["1", "two"]}, "row 2 of truth.csv: revision: Expected `int`"),
    ],
)
def test_what_the_gateway_refuses_is_refused_of_a_row(tmp_path: Path, beside: dict[str, Any], said: str) -> None:
    file, journal = tmp_path / "truth.csv", FakeJournal()
    pl.DataFrame({"prediction": IDS[:2], "value": [1.5, 2.5]} | beside).write_csv(file)
    with served(make(journal)) as place, pytest.raises(SchemaError) as raised:
        send_labels(file, NAMED, "", LogTaker(f"http://{place}"), FAKE_COLUMNS)
    assert str(raised.value).startswith(said)
    assert len(journal.records) == 1, "what stands before it stays"


def test_what_cannot_be_sent_says_why(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no file"):
        send_labels(tmp_path / "none.csv", NAMED, "", Taker(), FAKE_COLUMNS)
    with pytest.raises(SettingsError, match="has no column 'value'; it has prediction, y"):
        sent(tmp_path, ".csv", prediction=IDS, y=[1] * 4)
    pl.DataFrame({"prediction": IDS, "value": [1] * 4}).write_csv(tmp_path / "good.csv")
    with pytest.raises(UnavailableError, match=r"rows 1 to 4 of good\.csv: nobody answers"):
        send_labels(tmp_path / "good.csv", NAMED, "", LogTaker("http://127.0.0.1:1"), FAKE_COLUMNS)


@pytest.mark.fault("L3")
def test_the_command_brings_a_file_to_a_gateway(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, file, journal = write_record(tmp_path / "p"), tmp_path / "truth.csv", FakeJournal()
    pl.DataFrame({"pid": IDS, "truth": [1.5, 0.5, None, 2.5]}).write_csv(file)
    words = ("label", "send", file, "--project", project, "--prediction", "pid", "--value", "truth", "--source", "crm")
    with served(make(journal)) as place:
        done = call(capsys, monkeypatch, *words, "--url", f"http://{place}", "--json")
        assert done.code == 0, done
        assert json.loads(done.out)["data"] == {"labels": 3, "withdrawn": 0, "empty": 1}
        first = len(journal.records)
        call(capsys, monkeypatch, *words, "--url", f"http://{place}")
        ids = [each.id for each in journal.records]  # type: ignore[union-attr]  # all are labels
        assert (first, ids[:3]) == (3, ids[3:]), "the same deliveries, which the lake keeps once"
        pl.DataFrame({"pid": ["nonsense"], "truth": [1.0]}).write_csv(file)
        refused = call(capsys, monkeypatch, *words, "--url", f"http://{place}")
    assert (refused.code, "row 1 of truth.csv" in refused.err, "prediction" in refused.err) == (2, True, True)


def test_a_model_is_reached_on_a_gateway_that_serves_several(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, file, journals = write_record(tmp_path / "p"), tmp_path / "truth.csv", (FakeJournal(), FakeJournal())
    pl.DataFrame({"prediction": IDS, "value": [1.5] * 4}).write_csv(file)
    models = [
        make(journal, settings=replace(SETTINGS, model=model)).endpoints[0]
        for journal, model in zip(journals, ("other", "small"), strict=True)
    ]
    with served(GatewayApp(models)) as place:
        (project / "anew.yaml").write_text(f"{YAML}serving: {{port: {place.rpartition(':')[2]}}}\n")
        done = call(capsys, monkeypatch, "label", "send", file, "--project", project)
        astray = call(capsys, monkeypatch, "label", "send", file, "--project", project, "--url", f"http://{place}")
        with Client(f"http://{place}/models/small") as client:
            assert client.ready() == {"status": "ready"}
            client.label({IDS[0]: 1.5})
    assert (done.code, [len(each.records) for each in journals]) == (0, [0, 5]), done
    assert astray.code == 7
    assert "there is no '/labels'; known: /models/other/labels, /models/small/labels" in astray.err


@pytest.mark.parametrize(
    ("prediction", "value", "said", "kept"),
    [
        ([IDS[0], IDS[1], "zzz", IDS[3]], ["1.5", "2.5", "3.5", "4.5"], "row 3 of truth.csv: prediction:", 2),
        (IDS, ["1.5", "2.5", "abc", "4.5"], "row 3 of truth.csv: value: the label of a regression is a number", 2),
        ([IDS[0], IDS[1], IDS[2], "zzz"], ["1.5", "abc", "", "4.5"], "row 2 of truth.csv: value:", 1),
        ([IDS[0], "zzz", IDS[2], IDS[3]], ["", "2.5", "3.5", "4.5"], "row 2 of truth.csv: prediction:", 0),
    ],
)
def test_a_row_that_is_refused_is_named_and_what_stood_before_it_stays(
    tmp_path: Path, prediction: list[str], value: list[str], said: str, kept: int
) -> None:
    file, journal = tmp_path / "truth.csv", FakeJournal()
    pl.DataFrame({"prediction": prediction, "value": value}).write_csv(file)
    with served(make(journal)) as place, pytest.raises(SchemaError) as raised:
        send_labels(file, NAMED, "", LogTaker(f"http://{place}"), FAKE_COLUMNS)
    assert str(raised.value).startswith(said)
    assert [each.value for each in journal.records] == [1.5, 2.5][:kept]  # type: ignore[union-attr]  # all are labels


def test_one_cell_that_is_no_number_makes_no_text_of_the_others(tmp_path: Path) -> None:
    for classes, cells, wanted in (
        ((), ["1", "2", "x"], [1, 2, "x"]),
        ((), ["1", "2.5", "x"], [1.0, 2.5, "x"]),
        ((0, 1), ["1", "0", "x"], [1, 0, "x"]),
        (("0", "1"), ["1", "0", "x"], ["1", "0", "x"]),
        (("0", "1"), ["1", "0", "1"], ["1", "0", "1"]),
    ):
        task = Task.BINARY if classes else Task.REGRESSION
        told, _ = sent(
            tmp_path,
            ".csv",
            declared=replace(FAKE_COLUMNS, task=task, classes=classes),
            prediction=IDS[:3],
            value=cells,
        )
        assert [each["value"] for each in told] == wanted
        assert [type(each["value"]) for each in told] == [type(each) for each in wanted]
