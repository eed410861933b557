"""A feature store in the policy: what it may be asked, and which columns history is joined with."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from anew.app.feature_store import known_rows, offline_features, online_features
from anew.app.gateway_wiring import gateway_settings
from anew.app.settings import load
from anew.domain.errors import SchemaError, SettingsError, UnavailableError
from tests.app.small_project import YAML, write_project

STORE = """feature_store:
  repository: repo
  python: env:ANEW_FEAST_PYTHON
  entity: {x_id: x}
  features: {z: "view:z"}
"""


def test_the_gateway_may_be_left_to_fetch_what_the_store_knows(tmp_path: Path) -> None:
    settings = load(write_project(tmp_path, YAML + STORE))
    assert gateway_settings(settings).fetched == ("z",)
    assert online_features(settings) is not None
    plain = load(write_project(tmp_path / "plain"))
    assert gateway_settings(plain).fetched == ()
    assert (online_features(plain), offline_features(plain)) == (None, None)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('z: "view:z"', 'y_mean: "view:z"', r"anew\.yaml:18:14: feature_store\.features\.y_mean: no such feature"),
        ("x_id: x", "x_id: z", r"anew\.yaml:17:12: feature_store\.entity\.x_id: 'z' has to be the key or a feature"),
        ('z: "view:z"', 'z: "view"', r"feature_store\.features\.z"),
        ("  repository: repo\n", "", r"feature_store\.repository is missing"),
        ("repository", "repositry", r"did you mean repository"),
    ],
)
def test_what_cannot_be_asked_is_said_with_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load(write_project(tmp_path, YAML + STORE.replace(old, new)))


def history(**columns: list[float]) -> pl.DataFrame:
    at = [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2)]
    return pl.DataFrame({"at": at, "y": [0, 1], "x": [1.0, 2.0], **columns})


def test_columns_that_a_file_has_are_taken_as_they_are(tmp_path: Path) -> None:
    settings = load(write_project(tmp_path, YAML + STORE.replace("env:ANEW_FEAST_PYTHON", "nowhere")))
    assert known_rows(history(z=[5.0, 6.0]), settings, "file").get_column("z").to_list() == [5.0, 6.0]
    with pytest.raises(UnavailableError, match="nowhere cannot be run"):
        known_rows(history(), settings, "file")
    with pytest.raises(SchemaError, match="no column x"):
        known_rows(history().drop("x"), settings, "file")


def test_a_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    settings = load(write_project(tmp_path, YAML + STORE))
    with pytest.raises(SettingsError, match=r"feature_store\.python: the environment variable 'ANEW_FEAST_PYTHON'"):
        known_rows(history(), settings, "file")
