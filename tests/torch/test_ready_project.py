"""The template with a network is a working project: it loads, and its replay gains by retraining."""

from pathlib import Path

from anew.app.hard_start import hard_start
from anew.app.ready_project import HISTORY, STREAM, create_from_template
from anew.app.replay import ReplayOptions, replay
from anew.app.settings import load
from anew.app.wiring import stages
from tests.app.test_ready_project import answer_to_nothing


def test_the_template_trains_keeps_and_replays_a_network(tmp_path: Path) -> None:
    created = create_from_template(tmp_path, "pytorch")
    settings = load(created.folder)
    stages(settings)
    assert hard_start(created.folder, created.folder / HISTORY) == (), "its first champion is served"
    data = replay(settings, ReplayOptions(data=created.folder / STREAM)).data
    assert data["promotions"] > 1
    assert data["loss"] < data["loss_never_retrained"]
    assert answer_to_nothing(created.folder).output in (0, 1)
