"""Another project is seen by whom it lets in under the same name, and by nobody else."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from anew.app.dashboard_source import ProjectSource
from anew.app.neighbour import neighbour
from anew.app.person import access_file, user_file
from anew.domain.access import Principal, Role
from tests.app.small_project import YAML, write_project
from tests.cli.recorded import write_record

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ANN = Principal(id="elsewhere", name="ann", role=Role.ADMIN)


def seen(project: Path) -> str:
    found = neighbour(project, "../other", ANN, ProjectSource)
    assert (found.source is None) == bool(found.problem)
    return found.problem


@pytest.mark.parametrize("role", Role)
def test_a_person_of_the_same_name_sees_what_she_may_read_there(tmp_path: Path, role: Role) -> None:
    project = write_record(tmp_path / "other")
    assert seen(project) == "nobody called ann may read it: anew access add-user ann --project ../other"
    user_file(project / ".anew").add("ann", role, now=NOW)
    reads = role in (Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.ADMIN)
    assert (seen(project) == "") is reads
    user_file(project / ".anew").revoke("ann", now=NOW)
    assert seen(project)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MACHINE])
def test_so_does_who_has_a_token_of_that_name(tmp_path: Path, role: Role) -> None:
    project = write_record(tmp_path / "other")
    access_file(project / ".anew").create("bob", Role.ADMIN, now=NOW)
    assert seen(project)
    _, record = access_file(project / ".anew").create("ann", role, now=NOW)
    assert (seen(project) == "") is (role is Role.VIEWER)
    access_file(project / ".anew").revoke(record.id, now=NOW)
    assert seen(project)


def test_a_folder_without_a_project_is_said_to_be_one(tmp_path: Path) -> None:
    assert "anew init" in seen(tmp_path / "nowhere")


def test_a_project_that_was_never_brought_up_is_to_be_first(tmp_path: Path) -> None:
    assert seen(write_project(tmp_path / "other")) == "it was never brought up: begin with anew up ../other"


def test_the_policy_says_which_projects_are_listed(tmp_path: Path) -> None:
    write_record(tmp_path / "other")
    project = write_project(tmp_path / "p", YAML + "dashboard: {others: [../other, ../none]}\n")
    first, second = ProjectSource(project).others(ANN)
    assert (first.name, first.source, second.name) == ("../other", None, "../none")
    user_file(tmp_path / "other" / ".anew").add("ann", Role.VIEWER, now=NOW)
    source = ProjectSource(project)
    (again, _), (once_more, _) = source.others(ANN), source.others(ANN)
    assert again.source is not None
    assert again.source is once_more.source
    assert again.source.head() > 0


def test_a_pattern_lists_every_project_beside_this_one_once(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write_record(tmp_path / name)
    (tmp_path / "empty").mkdir()
    project = write_project(tmp_path / "p", YAML + "dashboard: {others: ['../*', ../a/../a]}\n")
    assert [each.name for each in ProjectSource(project).others(ANN)][:2] == ["a", "b"]
    assert "p" not in [each.name for each in ProjectSource(project).others(ANN)]


def test_two_of_one_name_are_told_apart(tmp_path: Path) -> None:
    places = [write_record(tmp_path / folder / "prod") for folder in ("a", "b")]
    project = write_project(tmp_path / "p", YAML + "dashboard: {others: ['../a/*', '../b/*']}\n")
    assert [each.name for each in ProjectSource(project).others(ANN)] == [str(place.resolve()) for place in places]
