"""What is declared personal stays among the rows: not in facts, alerts, logs, pages, or the review queue."""

import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from anew.adapters.fact_codec import encode
from anew.adapters.local_artifact import LocalArtifactStore
from anew.adapters.profile_folder import ProfileFolder
from anew.adapters.review_db import ReviewDB
from anew.adapters.schema_inference import Roles
from anew.adapters.signing import Signer
from anew.app.column_shift import column_shifts
from anew.app.gates import chosen_gates
from anew.app.narration import narrate
from anew.app.project_template import create_from_file
from anew.app.replay import ReplayOptions, replay
from anew.app.review import review_of
from anew.app.settings import Settings, load
from anew.domain.errors import SettingsError
from anew.domain.facts import WindowClosed
from anew.domain.interval import Interval
from anew.stats.profile import Reference
from tests.app.small_project import YAML, write_project

START = datetime(2024, 1, 1, tzinfo=UTC)
CANARY = "Zaphod"
N = 4_000
TRIGGERS = """
triggers:
  - {psi: {above: 0.05}}
  - {chi_squared: {column: who, above: 0.01}}
  - {quality: {}}
  - {drift: {}}
"""


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write rows about persons, of whom others come in the second half."""
    chance, file = np.random.default_rng(0), tmp_path_factory.mktemp("personal") / "rows.parquet"
    x = chance.normal(size=N)
    persons = np.where(np.arange(N) < N // 2, chance.integers(0, 4, N), chance.integers(3, 8, N))
    who = [f"{CANARY} {i}" for i in persons]
    y = (x + (persons % 2) + chance.normal(scale=0.3, size=N) > 0.5).astype(int)
    at = [START + timedelta(hours=i) for i in range(N)]
    pl.DataFrame({"at": at, "x": x, "who": who, "y": y}).write_parquet(file)
    return file


def project(folder: Path, rows: Path, *, personal: bool, gates: str = "") -> Settings:
    create_from_file(folder, rows, Roles(time="at", target="y", task="classification"))
    file = folder / "rows" / "anew.yaml"
    text = re.sub(r"triggers: \[\] .*\n# triggers: .*\n", TRIGGERS, file.read_text())
    assert TRIGGERS in text
    if personal:
        text = text.replace("columns:\n", "columns:\n  personal: [who]\n")
    if gates:
        text = text.replace("validate:\n", f"validate:\n  - {gates}\n")
    file.write_text(text + "train: {params: {n_estimators: 20}}\n")
    return load(file.parent)


def told(settings: Settings, rows: Path) -> Mapping[str, str]:
    facts = replay(settings, ReplayOptions(data=rows, windows=20)).facts
    assert {fact.kind for fact in facts} >= {"AlertRaised", "WindowClosed", "GateJudged", "SnapshotTaken"}
    return {fact.id: encode(fact).decode() + narrate(fact) for fact in facts}


@pytest.mark.fault("H10")
def test_no_fact_and_no_line_of_the_log_names_a_personal_value(
    tmp_path: Path, rows: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        found = told(project(tmp_path, rows, personal=True), rows)
    assert [text for text in found.values() if CANARY in text] == []
    assert CANARY not in caplog.text


@pytest.mark.fault("H10")
def test_control_slices_name_values_and_are_refused_of_a_personal_column(tmp_path: Path, rows: Path) -> None:
    by_person = "{slices: {by: [who], at_least_rows: 20}, mode: advisory}"
    found = told(project(tmp_path / "open", rows, personal=False, gates=by_person), rows)
    assert any(f"who = {CANARY}" in text for text in found.values())
    with pytest.raises(SettingsError, match="'who' is personal, and slices are named by its values"):
        chosen_gates(project(tmp_path / "personal", rows, personal=True, gates=by_person))


@pytest.mark.fault("H10")
@pytest.mark.parametrize("hidden", [(), ("who",)])
def test_the_page_of_drift_counts_personal_values_and_does_not_name_them(
    tmp_path: Path, hidden: tuple[str, ...]
) -> None:
    rows = {"x": np.arange(40.0), "who": np.array([f"{CANARY} {i % 4}" for i in range(40)])}
    reference = Reference.fit(rows)
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "reference.bin").write_bytes(reference.to_bytes())
    signer = Signer.load_or_create(tmp_path / "keys")
    kept = LocalArtifactStore(root=tmp_path / "models", signer=signer, verifier=signer.verifier)
    digest = kept.put(tmp_path / "made")
    window = Interval(start=START, end=START + timedelta(days=1))
    ProfileFolder(tmp_path / "profiles").put(digest, window, "9" * 64, reference.profile(rows).to_bytes())
    closed = WindowClosed(model="m", at=window.end, version="v1", window=window, n=40, rows="9" * 64, evidence=())
    found = column_shifts(tmp_path, digest, closed, hidden=hidden)
    shown = {each.column: [bar.name for bar in each.bars] for each in found}
    assert shown["who"] == [f"value {i + 1}" if hidden else f"{CANARY} {i}" for i in range(4)]
    assert shown["x"]


@pytest.mark.parametrize(("policy", "hidden"), [("", {"z"}), (", personal: true", set())])
def test_who_labels_is_shown_personal_columns_only_where_the_policy_says_so(
    tmp_path: Path, policy: str, hidden: set[str]
) -> None:
    yaml = YAML.replace("features:", "personal: [z]\n  features:")
    project = write_project(tmp_path / "small", yaml + f"feedback: {{review: {{per_day: 10{policy}}}}}\n")
    store = ReviewDB(tmp_path / "review.db")
    review = review_of(load(project), store)
    assert review is not None
    assert review.hidden == hidden
    store.close()
