"""Answers leave with their labels, whole files or none; what is of persons leaves as pseudonyms."""

import csv
import json
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from anew.adapters.pseudonym import Pseudonyms
from anew.app.export import export_rows
from anew.app.settings import Settings, load
from anew.app.stores import open_stores
from anew.domain.errors import ConflictError, NotFoundError, SettingsError
from anew.domain.interval import Interval
from anew.domain.observation import Answer, Label, Prediction
from tests.app.small_project import YAML, write_project
from tests.cli.recorded import AT

KEYED = YAML.replace(
    "features: {x: number, z: number}",
    "features: {x: number, z: number, shop: category}\n  key: customer\n  sensitive: [age]\n"
    "  personal: [customer, age, shop]",
)
DAY = timedelta(days=1)
SPAN = Interval(start=AT - DAY, end=AT + 3 * DAY)
NAMES = ("ann", "bob", "=cmd()|'x'", "ann")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = load(write_project(tmp_path / "p", KEYED))
    with open_stores(made) as stores:
        predictions = [
            Prediction(
                id=f"{i:032x}", model="small", at=AT + i * timedelta(hours=13), received_at=AT + i * DAY, key=name,
                row={"x": float(i), "z": 0.5, "shop": name}, version="v1", arm="champion", epoch=1, latency_us=9,
                answer=Answer(output=i % 2), extra={"age": 40 + i % 3},
            )
            for i, name in enumerate(NAMES)
        ]  # fmt: skip
        stores.lake.append("w0", 4, predictions)
        said = [
            Label(
                id=f"l{i}", model="small", prediction=f"{0:032x}", at=AT, received_at=AT + DAY, value=value,
                source="lab", revision=i,
            )
            for i, value in enumerate((0, 1))
        ]  # fmt: skip
        stores.lake.append("w0", 6, said)
    return made


def texts(file: Path) -> str:
    return file.read_bytes().decode("utf-8", "replace")


def test_each_answer_leaves_once_with_the_label_that_counts(settings: Settings, tmp_path: Path) -> None:
    done = export_rows(settings, SPAN, tmp_path / "out.parquet", personal=True)
    assert (done.rows, done.labelled, done.pseudonyms) == (4, 1, ())
    frame = pl.read_parquet(tmp_path / "out.parquet")
    assert tuple(frame.columns) == done.columns
    assert frame.get_column("_id").to_list() == [f"{i:032x}" for i in range(4)]
    assert frame.select("_label", "_source").row(0) in {(1, "lab"), ("1", "lab")}, "the corrected one"
    assert frame.get_column("customer").to_list() == list(NAMES)
    assert frame.get_column("age").to_list() == ["40", "41", "42", "40"]


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".jsonl"])
def test_what_is_personal_leaves_as_pseudonyms_in_every_format(settings: Settings, tmp_path: Path, ending: str) -> None:
    done = export_rows(settings, SPAN, tmp_path / f"out{ending}")
    assert done.pseudonyms == ("customer", "age", "shop")
    text = texts(tmp_path / f"out{ending}")
    for value in ("ann", "bob", "cmd()"):
        assert value not in text
    again = export_rows(settings, SPAN, tmp_path / "again.jsonl")
    rows = [json.loads(line) for line in texts(tmp_path / "again.jsonl").splitlines()]
    assert again.rows == 4
    assert rows[0]["customer"] == rows[3]["customer"] != rows[1]["customer"], "the same person has the same one"
    assert rows[0]["customer"] != rows[0]["shop"], "another column's tells nothing of it"
    assert rows[0]["customer"] == Pseudonyms(settings.state / "keys").of("customer", "ann")


def test_control_without_the_declaration_names_leave(settings: Settings, tmp_path: Path) -> None:
    export_rows(settings, SPAN, tmp_path / "out.jsonl", personal=True)
    assert "ann" in texts(tmp_path / "out.jsonl")


def test_another_projects_pseudonyms_are_others(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "signing.key").write_bytes(b"of another project")
    one, other = Pseudonyms(settings.state / "keys"), Pseudonyms(tmp_path / "keys")
    assert one.of("customer", "ann") != other.of("customer", "ann")
    assert one.of("customer", None) is None
    with pytest.raises(NotFoundError, match="bring the project up"):
        Pseudonyms(tmp_path / "nowhere")


@pytest.mark.fault("V6")
def test_no_cell_of_a_csv_file_is_a_formula(settings: Settings, tmp_path: Path) -> None:
    export_rows(settings, SPAN, tmp_path / "out.csv", personal=True)
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [row["customer"] for row in rows] == ["ann", "bob", "'=cmd()|'x'", "ann"]
    assert [row["_id"] for row in rows] == [f"{i:032x}" for i in range(4)]


def test_what_cannot_be_is_said_and_leaves_no_file(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "there.csv").write_text("mine")
    with pytest.raises(ConflictError, match="there already"):
        export_rows(settings, SPAN, tmp_path / "there.csv")
    with pytest.raises(SettingsError, match=r"\.jsonl"):
        export_rows(settings, SPAN, tmp_path / "out.xlsx")
    empty = Interval(start=AT - 9 * DAY, end=AT - 8 * DAY)
    with pytest.raises(NotFoundError, match="no answer"):
        export_rows(settings, empty, tmp_path / "out.csv")
    assert (tmp_path / "there.csv").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"p", "there.csv"}


def test_a_personal_column_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"columns\.personal: nobody: no feature, key or sensitive column"):
        load(write_project(tmp_path / "q", KEYED.replace("[customer, age, shop]", "[nobody]")))
