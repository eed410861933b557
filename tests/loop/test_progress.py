"""Progress is told in words, a few times a second at most, and never in a run's way."""

from pathlib import Path

import pytest

from anew.app.progress import ProgressReporter
from anew.loop.progress import PROGRESS, Progress, ProgressFile, read_progress, write_progress


@pytest.mark.parametrize(
    ("progress", "said"),
    [
        (Progress(step="fit", rows=1200), "fitting, 1200 rows"),
        (Progress(step="finish"), "proving what was fitted"),
        (Progress(step="search", of=20), "trial 0 of 20"),
        (Progress(step="search", done=3, of=4, best=-0.5, eta_s=89.0), "trial 3 of 4, best -0.5, about 89 s left"),
        (Progress(step="search", done=3, of=4, eta_s=600.0), "trial 3 of 4, about 10 min left"),
    ],
)
def test_it_is_said_in_words(progress: Progress, said: str) -> None:
    assert write_progress(progress) == said


def test_it_is_written_now_and_then_and_at_the_end(tmp_path: Path) -> None:
    now = 0.0
    told = ProgressFile(tmp_path, 50, clock=lambda: now)
    assert read_progress(tmp_path) is None
    seen = []
    for done in range(11):
        now = done * 0.1
        told(Progress(step="search", done=done, of=10))
        found = read_progress(tmp_path)
        assert found is not None
        seen.append(found.done)
    assert seen == [0, 0, 0, 3, 3, 3, 6, 6, 6, 9, 10]
    last = read_progress(tmp_path)
    assert last is not None
    assert (last.eta_s, last.rows) == (0.0, 50)


def test_a_folder_that_is_gone_costs_nothing_but_the_file(tmp_path: Path) -> None:
    ProgressFile(tmp_path / "gone", 50)(Progress(step="fit"))
    for text in ("", "{", "[]", '{"odd": 1}'):
        (tmp_path / PROGRESS).write_text(text)
        assert read_progress(tmp_path) is None


def test_a_reporter_says_what_is_new_of_what_is_pending(tmp_path: Path) -> None:
    now, said = 0.0, list[tuple[str, str]]()
    reporter = ProgressReporter(tmp_path, lambda id, words: said.append((id, words)), clock=lambda: now)
    results = tmp_path / "jobs" / "j1" / "results"
    results.mkdir(parents=True)
    reporter.look(["j1", "j2"])
    assert said == []
    ProgressFile(results, 5)(Progress(step="fit"))
    reporter.look(["j1"])
    assert said == [], "it looked a moment ago"
    now = 6.0
    reporter.look(["j1"])
    now = 12.0
    reporter.look(["j1"])
    assert said == [("j1", "fitting, 5 rows")]
