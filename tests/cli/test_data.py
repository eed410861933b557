"""``anew data drift``: a finding is data, a mistake is an error, and nothing heavy is imported for either."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from anew.adapters.sql_engine import Database
from anew.adapters.sql_inbox import SQLInbox
from anew.adapters.sql_lease import SQLLease
from anew.adapters.system_clock import SystemClock
from anew.app.settings import load
from anew.app.stores import open_stores
from anew.domain.facts import EffectFailed, RetrainCommanded, SourcePurged, SubjectPurgeAsked
from tests.app.small_project import YAML
from tests.app.test_command import looping
from tests.cli.call import Called, call
from tests.cli.recorded import AT, write_record

Run = Callable[..., Called]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return lambda *arguments: call(capsys, monkeypatch, "data", *arguments)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    rng = np.random.default_rng(0)
    for name, shift in (("before", 0.0), ("after", 1.0)):
        levels = np.array(["a", "b"])[rng.integers(0, 2, 4000)]
        frame = pl.DataFrame({"x": rng.normal(shift, size=4000), "c": levels, name: [1] * 4000, "l": [["a"]] * 4000})
        frame.write_parquet(tmp_path / name)
    return tmp_path / "before", tmp_path / "after"


def test_text_says_what_drifted_is_missing_and_is_new(run: Run, files: tuple[Path, Path]) -> None:
    called = run("drift", "--reference", files[0], "--current", files[1])
    assert (called.code, called.err) == (0, "")
    heads, first, second, *_ = called.out.splitlines()
    assert heads.split()[:3] == ["column", "verdict", "PSI"]
    assert first.split()[:2] == ["x", "DRIFT"]
    assert second.startswith("c       no drift seen")
    assert "missing: before is in the reference" in called.out
    assert "new: after is not in the reference" in called.out
    assert "not looked at: l holds lists" in called.out
    assert "1 of 2 columns drifted: 4,000 rows against 4,000" in called.out


def test_json_holds_it_all_and_a_stored_profile_gives_the_same(run: Run, files: tuple[Path, Path]) -> None:
    profile = files[0].with_name("p")
    first = run("drift", "--reference", files[0], "--current", files[1], "--save-profile", profile, "--json")
    found = json.loads(first.out)
    assert found["schema"] == "anew.data.drift/1"
    data = found["data"]
    assert (data["drifted"], data["missing"], data["unsupported"]) == (["x"], ["before"], ["l"])
    x = data["columns"]["x"]
    assert x["verdict"] == "drift"
    assert x["psi_low"] < x["psi"] < x["psi_high"]
    assert (x["kind"], x["reference"]["nulls"]) == ("numeric", 0)
    assert x["current"]["mean"] == pytest.approx(1.0, abs=0.1)
    assert data["columns"]["c"]["ks"] is None
    assert run("drift", "--reference-profile", profile, "--current", files[1], "--json").out == first.out


def test_drift_fails_only_where_it_is_asked_to(run: Run, files: tuple[Path, Path]) -> None:
    before, after = files
    assert run("drift", "--reference", before, "--current", after, "--fail-on-drift").code == 3
    assert run("drift", "--reference", before, "--current", after, "--fail-on-drift", "--json").code == 3
    assert run("drift", "--reference", before, "--current", before, "--fail-on-drift").code == 0


def test_mistakes_are_said(run: Run, files: tuple[Path, Path]) -> None:
    before, after = files
    for arguments, code, said in (
        (["drift", "--current", after], 2, "give one of --reference FILE"),
        (["drift"], 2, "required: --current"),
        (["drift", "--current", after, "--reference", before, "--alpha", "many"], 2, "--alpha"),
        (["drift", "--current", after, "--reference", before, "--colour", "red"], 2, "No such option: --colour"),
        (["drift", "--current", "gone", "--reference", before], 4, "no file gone"),
        (["drift", "--current", after, "--reference-profile", before], 1, "no stored reference"),
        (["drift", "--current", __file__, "--reference", before], 2, "cannot be read as Parquet"),
        (["shift"], 2, "shift"),
    ):
        called = run(*arguments)
        assert (called.code, called.out) == (code, ""), arguments
        assert said in called.err
        assert "Traceback" not in called.err


def test_no_command_is_told_what_there_is(run: Run) -> None:
    called = run()
    assert called.code == 2
    assert "drift" in called.err


PROGRAM = """
import sys
from anew.cli import main
try:
    main()
finally:
    print(*sorted(sys.modules), file=sys.stderr)
"""


def test_nothing_is_imported_that_takes_longer_than_the_verdict(files: tuple[Path, Path]) -> None:
    words = ["data", "drift", "--reference", str(files[0]), "--current", str(files[1])]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=True)
    modules = set(done.stderr.split())
    assert {"numpy", "pyarrow.parquet"} <= modules
    heavy = {"typer", "pydantic", "rich", "polars", "pandas", "scipy", "sklearn", "pyarrow.compute", "sqlalchemy"}
    assert modules & heavy == set()


@pytest.mark.fault("A4")
def test_purge_is_kept_for_the_loop_with_the_retrain_that_is_wanted(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    called = run("purge", project, "--source", "mallory", "--reason", "wrong labels", "--retrain")
    assert called.code == 0
    assert "anew up" in called.out
    database = Database(project / ".anew" / "anew.db")
    try:
        purged, retrain = SQLInbox(database, clock=SystemClock()).pending()
    finally:
        database.close()
    assert isinstance(purged, SourcePurged)
    assert (purged.source, purged.reason) == ("mallory", "wrong labels")
    assert isinstance(retrain, RetrainCommanded)
    found = json.loads(run("purge", project, "--source", "mallory", "--json").out)
    assert (found["schema"], found["data"]["taken"]) == ("anew.data.purge/1", False)
    assert run("purge", project).code == 2


def test_whose_rows_are_to_be_erased_is_in_no_fact(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    assert run("purge", project, "--subject", "customer 7").code == 0
    database = Database(project / ".anew" / "anew.db")
    try:
        (asked,) = SQLInbox(database, clock=SystemClock()).pending()
    finally:
        database.close()
    assert isinstance(asked, SubjectPurgeAsked)
    order = project / ".anew" / "purge" / f"{asked.command}.json"
    assert json.loads(order.read_text()) == {"key": "customer 7"}
    assert "customer 7" not in str(asked)
    assert run("purge", project, "--subject", "a", "--source", "b").code == 2


def test_a_purge_says_what_came_of_it(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    with looping(load(project)):
        said = run("purge", project, "--subject", "nobodyhere").out
        assert "erased: 0 labels, 0 predictions" in said
        assert "no stored row has the key nobodyhere" in said
        told = json.loads(run("purge", project, "--subject", "nobodyhere", "--json").out)["data"]
        assert told["erased"] == {"labels": 0, "predictions": 0}
        assert "mallory: nothing is learned" in run("purge", project, "--source", "mallory").out


def test_a_dry_run_of_a_purge_counts_what_it_would_erase(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p", YAML.replace("classes: [0, 1]", "classes: [0, 1]\n  key: customer"))
    with open_stores(load(project)) as stores:
        rows = pl.DataFrame(
            {"_at": [AT] * 2, "_label": [0, 1], "x": [1.0, 2.0], "z": [0.0] * 2, "_key": ["ann", "bob"]}
        )
        stores.lake.import_history(rows, source="file")
    for whose, said, stored in (("ann", "1 history", 1), ("Ann", "no row has the key Ann", 0)):
        assert f"stored now: {said}" in " ".join(run("purge", project, "--subject", whose, "--dry-run").out.split())
        told = json.loads(run("purge", project, "--subject", whose, "--dry-run", "--json").out)["data"]
        assert (told["stored"]["history"], told["erased"], told["ordered"]) == (stored, None, False)


def test_a_purge_that_a_busy_loop_has_not_come_to_is_pending_and_sends_nobody_to_start_one(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = write_record(tmp_path / "p")
    monkeypatch.setattr("anew.app.command._PATIENCE_S", 0.1)
    with closing(Database(project / ".anew" / "anew.db")) as database:
        assert SQLLease(database, clock=SystemClock()).acquire("a loop", 60)
        for words in (["data", "purge", "--subject", "eve"], ["retrain"]):
            said = call(capsys, monkeypatch, *words, project).out
            assert "the loop is busy with what came before" in said
            assert "anew up" not in said
        told = json.loads(run("purge", project, "--subject", "eve", "--json").out)["data"]
        assert (told["taken"], told["pending"], told["erased"]) == (False, True, None)


def test_a_purge_that_is_taken_and_not_done_is_pending(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = write_record(tmp_path / "p")
    failed = EffectFailed(model="small", at=AT, effect="purge", version="", reason="error", detail="no disk")
    for taken, facts, pending in ((True, (), True), (True, (failed.caused_by("c"),), False), (False, (), True)):
        monkeypatch.setattr("anew.cli._purge.command", lambda *_, found=(taken, facts): found)
        told = json.loads(run("purge", project, "--subject", "eve", "--json").out)["data"]
        assert (told["taken"], told["pending"]) == (taken, pending)
        told = json.loads(run("purge", project, "--subject", "eve", "--json", "--dry-run").out)["data"]
        assert not told["pending"]


def test_samples_are_told_beside_the_profiles(run: Run, files: tuple[Path, Path]) -> None:
    words = ("drift", "--reference", files[0], "--current", files[1], "--samples", "200")
    found = json.loads(run(*words, "--json").out)["data"]["samples"]
    assert (found["reference_rows"], found["current_rows"]) == (200, 200)
    assert found["columns"]["x"]["mmd_p_value"] == 0.001
    assert found["columns"]["x"]["classifier_auc"] > 0.7
    assert found["columns"]["c"]["classifier_p_value"] > 0.01
    assert found["together"]["classifier_p_value"] < 0.001
    lines = run(*words).out.splitlines()
    heads = next(i for i, line in enumerate(lines) if line.startswith("200 rows against 200"))
    assert lines[heads].split()[-4:] == ["MMD2", "p", "AUC", "p"]
    assert lines[heads + 1].startswith("(together)")
    assert lines[heads + 2].startswith("x ")


def test_quantiles_are_sketched_on_request(run: Run, files: tuple[Path, Path]) -> None:
    words = ("drift", "--reference", files[0], "--current", files[1], "--quantiles")
    found = json.loads(run(*words, "--json").out)["data"]["quantiles"]
    assert found["shares"] == [0.05, 0.5, 0.95]
    assert list(found["columns"]) == ["x"]
    assert found["columns"]["x"]["reference"] == pytest.approx([-1.645, 0.0, 1.645], abs=0.2)
    assert found["columns"]["x"]["current"] == pytest.approx([-0.645, 1.0, 2.645], abs=0.2)
    lines = run(*words).out.splitlines()
    assert lines[-3].split() == ["quantiles", *["5%", "50%", "95%"] * 2]
    assert lines[-2].startswith("x ")
    assert "quantiles" not in json.loads(run(*words[:-1], "--json").out)["data"]
    stored = files[0].with_name("q")
    run("drift", "--reference", files[0], "--current", files[1], "--save-profile", stored)
    refused = run("drift", "--reference-profile", stored, "--current", files[1], "--quantiles")
    assert (refused.code, "a stored profile has none" in refused.err) == (2, True)


def test_export_writes_a_file_and_says_what_is_in_it(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    words = ("export", project, "--since", "2020-01-01", "--until", "2020-01-02")
    assert run(*words, "--to", tmp_path / "x.csv").code == 4
    assert (
        run("export", project, "--since", "2020-01-02", "--until", "2020-01-02", "--to", tmp_path / "x.csv").code == 2
    )
    assert not (tmp_path / "x.csv").exists()
