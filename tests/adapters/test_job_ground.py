"""What goes between a job and a cluster: files keep their places, and letters are read without following links."""

import json
from pathlib import Path

import pytest

from anew.adapters.job_ground import PIECE_BYTES, JobGround, pieces
from anew.adapters.job_record import job_from_json, job_to_json
from anew.adapters.local_compute import LocalCompute
from anew.adapters.ray_compute import RayCompute
from anew.adapters.trial_mail import TrialMail
from anew.domain.errors import InvariantError, MissingExtraError
from anew.ports.compute import Job, Request, Step
from anew.ports.search import Attempt


def test_files_and_folders_come_whole_in_pieces(tmp_path: Path) -> None:
    (tmp_path / "there" / "deep").mkdir(parents=True)
    big, empty = tmp_path / "there" / "deep" / "big", tmp_path / "empty"
    big.write_bytes(bytes(range(256)) * (PIECE_BYTES // 256) + b"rest")
    empty.touch()
    ground = JobGround(tmp_path / "ground")
    for name, piece in pieces([str(tmp_path / "there"), str(empty)]):
        assert len(piece) <= PIECE_BYTES
        ground.add(name, piece)
    assert ground.place(str(big)).read_bytes() == big.read_bytes()
    assert ground.place(str(empty)).read_bytes() == b""


@pytest.mark.parametrize("name", ["rows", "/a/../../etc/passwd", "../x", ""])
def test_no_path_leads_out_of_the_ground(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvariantError, match="no absolute path"):
        JobGround(tmp_path).add(name, b"x")


def test_paths_are_changed_where_a_job_names_them_and_nowhere_else(tmp_path: Path) -> None:
    order = json.dumps({"rows": "/data/rows.parquet", "in": {"previous": "/models/d1/model"}, "text": "/data", "n": 1})
    files = ("/orders/j1.json", "/data/rows.parquet", "/models/d1")
    job = Job(
        id="j1",
        entry="anew.x:y",
        arguments={"run": "/orders/j1.json", "other": "/etc/hosts"},
        reads=("/orders/j1.json", "/usr/share/zoneinfo"),
        then=(Step(entry="anew.x:z"),),
        files=files,
    )
    ground = JobGround(tmp_path)
    ground.add("/orders/j1.json", order.encode())
    moved, at = ground.moved(job), str(tmp_path)
    assert moved.arguments == {"run": f"{at}/orders/j1.json", "other": "/etc/hosts"}
    assert moved.reads == (f"{at}/orders/j1.json", "/usr/share/zoneinfo")
    assert moved.then == job.then
    assert json.loads((tmp_path / "orders" / "j1.json").read_text()) == {
        "rows": f"{at}/data/rows.parquet",
        "in": {"previous": f"{at}/models/d1/model"},
        "text": "/data",
        "n": 1,
    }


def test_a_job_is_written_and_read_also_one_of_before_there_were_clusters() -> None:
    job = Job(id="j1", entry="a:b", arguments={"x": "y"}, files=("/a",), request=Request(cpus=2, gpus=0.5), trial="m")
    assert job_from_json(job_to_json(job)) == job
    plain = json.loads(job_to_json(Job(id="j1", entry="a:b", arguments={})))
    for name in ("files", "request", "trial"):
        del plain[name]
    assert job_from_json(json.dumps(plain)) == Job(id="j1", entry="a:b", arguments={})


def test_letters_are_answered_in_order_and_links_are_not_followed(tmp_path: Path) -> None:
    mail = TrialMail(asked=tmp_path / "asked", told=tmp_path / "told")
    mail.told.mkdir()
    assert mail.waiting() is None
    mail.asked.mkdir()
    secret = tmp_path / "secret.json"
    secret.write_text('[{"number": 7, "fold": 0, "params": {}}]')
    (mail.asked / "0.json").symlink_to(secret)
    assert mail.waiting() is None
    (mail.asked / "0.json").unlink()
    secret.rename(mail.asked / "0.json")
    assert mail.waiting() == (0, [Attempt(number=7, fold=0, params={})]), "control: a file of its own is read"
    mail.tell(0, [0.5])
    assert mail.waiting() is None
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.json").write_text("[]")
    (tmp_path / "asked").rename(tmp_path / "was")
    (tmp_path / "asked").symlink_to(tmp_path / "elsewhere")
    assert mail.waiting() is None


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anew.adapters.ray_compute._is_installed", lambda: False)
    with pytest.raises(MissingExtraError, match="ray"):
        RayCompute(near=LocalCompute(root=tmp_path), address="ray", namespace="n")
