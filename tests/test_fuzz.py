"""Whatever bytes come, every parser reads them or refuses them in its own words; never with anybody else's error.

Each is tried on bytes, on text, and on what is nearly right: a good input with a part of it replaced. Bounded, and
seeded by Hypothesis; a new failure is kept by it as an example.
"""

import asyncio
import hashlib
import json
import tempfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc.jwk import KeySet, RSAKey

from anew.adapters import fact_codec
from anew.adapters.access_file import AccessFile
from anew.adapters.drainer_line import DrainOrder, read_answer, read_columns, read_order, told, unframed, write_columns
from anew.adapters.ended_sessions import EndedSessions
from anew.adapters.fact_chain import GENESIS, link
from anew.adapters.fact_reader import StoredFact
from anew.adapters.job_record import job_from_json, job_to_json
from anew.adapters.oidc_provider import OIDCProvider
from anew.adapters.segment_format import Header
from anew.adapters.signing import Signer
from anew.adapters.sql_eventlog import ChainHead
from anew.adapters.standard_webhook import verified_id
from anew.adapters.table_file import read_table
from anew.adapters.table_stream import open_table
from anew.adapters.user_file import UserFile
from anew.app.audit import SignedHead
from anew.app.audit_export import is_export, verify_export
from anew.app.backup_manifest import MANIFEST as BACKUP_MANIFEST
from anew.app.backup_manifest import Manifest as BackupManifest
from anew.app.backup_manifest import read_manifest, write_manifest
from anew.app.duration import parse_alarms, parse_amount, parse_count, parse_duration, parse_rate
from anew.app.model_card import card_problems
from anew.app.settings import load
from anew.app.yaml_file import read_yaml
from anew.dashboard.form import local
from anew.dashboard.session import Sessions
from anew.domain.column import Task
from anew.domain.errors import AnewError
from anew.domain.facts import FACTS
from anew.domain.manifest import Manifest
from anew.gateway.caller_trace import traced
from anew.gateway.feedback_request import FeedbackParser
from anew.gateway.infer_request import InferParser
from anew.gateway.label_request import LabelParser
from anew.gateway.refusal import RefusedError
from anew.gateway.request import PredictParser
from anew.gateway.retrain_hook import RetrainHook
from anew.gateway.row import RequestRow
from anew.gateway.settings import GatewaySettings
from anew.ports.compute import Job, Step
from anew.ports.drainers import PreparedAnswer
from anew.ports.http import Request
from anew.stats.loss_profile import LossProfile, profile_losses
from anew.stats.profile import Profile, Reference
from anew.testing.fake_predictor import FAKE_COLUMNS
from tests.app.small_project import YAML
from tests.dashboard.story import ToldSource
from tests.validate.trials import MANIFEST

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SETTINGS = GatewaySettings(model="m", columns=replace(FAKE_COLUMNS, task=Task.BINARY, classes=(0, 1)))
PLACE = Path(tempfile.mkdtemp(prefix="anew-fuzz-"))
ACCESS = AccessFile(PLACE / "tokens.json", UserFile(PLACE / "users.json"))
ROW = RequestRow(values={}, at=NOW, timed=False)
PROVIDER = OIDCProvider(issuer="http://127.0.0.1:9", client_id="a", secret=str, scopes=(), now=lambda: NOW)
PROVIDER._keys.found = (NOW, KeySet([RSAKey.generate_key(2048, {"kid": "1"})]))
SESSIONS = Sessions(b"k" * 32, lambda _: None, lambda: NOW, ToldSource([]))


def _yaml(data: bytes) -> object:
    file = PLACE / "anew.yaml"
    file.write_bytes(data)
    return read_yaml(file)


def _policy(data: bytes) -> object:
    (PLACE / "pipeline.py").write_text("def train(data, params): ...")
    (PLACE / "anew.yaml").write_bytes(data)
    return load(PLACE)


def _card(data: bytes) -> object:
    (PLACE / "model_card.md").write_bytes(data)
    return card_problems(PLACE, ("Uses",))


def _ended(data: bytes) -> object:
    file = PLACE / "ended.json"
    file.write_bytes(data)
    file.chmod(0o600)
    return EndedSessions(file, lambda: NOW).is_over("a", ("b",), NOW)


def _csv(data: bytes) -> object:
    file = PLACE / "rows.csv"
    file.write_bytes(data)
    return read_table(file)


def _parquet(data: bytes) -> object:
    """Read by Arrow: at some lengths Polars ends the process, since they are more than any memory."""
    file = PLACE / "rows.parquet"
    file.write_bytes(data)
    table = open_table(file)
    return [table.column(name) for name in table.types]


def _export(data: bytes) -> object:
    file = PLACE / "export.jsonl"
    file.write_bytes(data)
    return is_export(file), verify_export(file, SIGNER.verifier)


def _exported() -> bytes:
    """Return an export of one fact."""
    stored = StoredFact(1, NOW.isoformat(), "Ticked", 1, '{"model": "m"}')
    chained = link(GENESIS, **stored._asdict())
    line = json.dumps({**stored._asdict(), "hash": chained}).encode() + b"\n"
    head = SignedHead.by(SIGNER, ChainHead(seq=1, hash=chained))
    lines = hashlib.sha256(line).hexdigest()
    seal = {"lines": lines, "lines_signature": SIGNER.sign(f"anew.audit.export/1\n1\n{chained}\n{lines}\n".encode())}
    return line + json.dumps(json.loads(head.to_json()) | seal).encode() + b"\n"


def _backup(data: bytes) -> object:
    (PLACE / BACKUP_MANIFEST).write_bytes(data)
    return read_manifest(PLACE, SIGNER.verifier)


def _backed_up() -> bytes:
    held = BackupManifest(
        model="m", at=NOW, version="1", facts=1, head="0" * 64, epoch=1, observations={"lake": 1}, keys=True,
        files={"state/anew.db": "0" * 64},
    )  # fmt: skip
    write_manifest(PLACE, held, SIGNER)
    return (PLACE / BACKUP_MANIFEST).read_bytes()


def _rows() -> bytes:
    pl.DataFrame({"a": [1, 2], "b": ["x", "y"]}).write_parquet(PLACE / "good.parquet")
    return (PLACE / "good.parquet").read_bytes()


def _retrain(data: bytes) -> object:
    hook = RetrainHook(verify=lambda *_: "id", post=lambda *_: None, now=lambda: NOW)
    return asyncio.run(hook.take(Request("POST", "/retrain", {}, data)))


def _unpacked(data: bytes) -> object:
    return Reference.from_bytes(zlib.compress(data))


def _said(message: DrainOrder | PreparedAnswer) -> bytes:
    return unframed(bytearray(told(message))) or b""


SIGNER = Signer.load_or_create(PLACE / "keys")
SEEN = {"a": np.arange(40.0), "b": np.array(["x", "y"] * 20), "c": np.ones((40, 3))}
REFERENCE = Reference.fit(SEEN)
LOSSES = profile_losses(REFERENCE, SEEN, np.ones(40))
JOB = Job(id="j", entry="a:b", arguments={"rows": "/r"}, reads=("/r",), then=(Step(entry="a:c", reads=None),))


def _text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: read(data.decode("utf-8", "replace"))


HEADERS = {"webhook-id": "a", "webhook-timestamp": str(int(NOW.timestamp())), "webhook-signature": "v1,AAAA"}
PREDICT = b'{"rows": [{"amount": 1.5}]}'
PARSERS: Mapping[str, tuple[Callable[[bytes], object], bytes]] = {
    "predict": (lambda data: PredictParser(SETTINGS).parse(data, NOW), PREDICT),
    "labels": (lambda data: LabelParser(SETTINGS).parse(data, NOW), b'{"labels": [{"prediction": "0", "value": 1}]}'),
    "feedback": (lambda data: FeedbackParser(SETTINGS).parse(data, NOW), b'{"events": [{"event": "bought"}]}'),
    "infer": (
        lambda data: InferParser(SETTINGS).parse(data, NOW),
        b'{"inputs": [{"name": "amount", "shape": [1], "datatype": "FP64", "data": [1.5]}]}',
    ),
    "webhook": (
        lambda data: verified_id(
            b"k" * 24, HEADERS | {"webhook-signature": data.decode("latin-1")}, data, now=NOW.timestamp()
        ),
        b"v1,AAAA",
    ),
    "yaml": (_yaml, YAML.encode()),
    "policy": (_policy, YAML.encode()),
    "model card": (_card, b"---\nlicense: mit\n---\n## Uses\n\nwords\n"),
    "manifest": (_text(Manifest.from_json), MANIFEST.to_json().encode()),
    "fact": (lambda data: fact_codec.decode("Ticked", 1, data), b'{"model": "m", "at": "2026-01-01T00:00:00Z"}'),
    "segment header": (lambda data: Header.decode(data, "f"), b"anew"),
    "duration": (_text(parse_duration), b"90d"),
    "rate": (_text(parse_rate), b"8 per 7d"),
    "amount": (_text(parse_amount), b"50 per 30d"),
    "alarms": (_text(parse_alarms), b"1 per 30d"),
    "count": (_text(lambda text: parse_count(text, "rows")), b"500 rows"),
    "token": (_text(lambda text: ACCESS.verify(text, now=NOW)), b"anew_abc_def"),
    "session": (_text(SESSIONS.find), b"e30.00"),
    "way back": (_text(local), b"/runs?x=1"),
    "caller's trace": (
        lambda data: traced([ROW], {b"traceparent": data}),
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ),
    "sign-out": (_text(PROVIDER.signed_out), b"eyJhbGciOiJSUzI1NiJ9.e30.AAAA"),
    "rows in CSV": (_csv, b"at,a,b\n2024-01-01,1,x\n2024-01-02,2,y\n"),
    "rows in Parquet": (_parquet, _rows()),
    "profile": (Profile.from_bytes, REFERENCE.own.to_bytes()),
    "reference": (Reference.from_bytes, REFERENCE.to_bytes()),
    "reference, unpacked": (_unpacked, zlib.decompress(REFERENCE.to_bytes())),
    "reference of before": (_unpacked, json.dumps(REFERENCE.to_dict()).encode()),
    "losses": (LossProfile.from_bytes, LOSSES.to_bytes()),
    "audit export": (_export, _exported()),
    "backup": (_backup, _backed_up()),
    "retrain hook": (_retrain, b'{"reason": "new data"}'),
    "job": (_text(job_from_json), job_to_json(JOB).encode()),
    "drainer's order": (read_order, _said(DrainOrder(journal="w0", after=1, most=2))),
    "drainer's answer": (read_answer, _said(PreparedAnswer(journal="w0"))),
    "drainer's columns": (read_columns, write_columns(SETTINGS.columns)),
    "ended sessions": (_ended, b'{"schema": 2, "era": "1", "ended": {"a": 1.5}, "cut": {"b": [1.5, 2.5]}}'),
}  # fmt: skip


def tried(read: Callable[[bytes], object], data: bytes) -> None:
    """Read it, or be refused in words of ours."""
    try:
        read(data)
    except (AnewError, RefusedError) as refused:
        assert str(refused)


def nearly(good: bytes) -> st.SearchStrategy[bytes]:
    """Return inputs that differ from a good one in one part."""
    places = st.integers(0, len(good))
    return st.builds(
        lambda a, b, part: good[: min(a, b)] + part + good[max(a, b) :],
        places,
        places,
        st.one_of(st.binary(max_size=6), st.sampled_from(PARTS)),
    )


PARTS = (
    b"NaN", b"1e999", b"-0", b"null", b"true", b"[]", b"{}", b'"\\ud800"', b"\x00", b"\xff", b'"\xe2\x80\xae"',
    b"[" * 200, b"9" * 400, b": ", b"&a *a", b"!!python/object:os.system", b"---", b"\n", b"%s", b'"', b"'", b"\t",
)  # fmt: skip


@pytest.mark.fault("V3")
@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=120, deadline=timedelta(seconds=10), suppress_health_check=list(HealthCheck), database=None)
@given(data=st.data())
def test_no_input_breaks_a_parser(name: str, data: st.DataObject) -> None:
    read, good = PARSERS[name]
    tried(read, data.draw(st.one_of(nearly(good), st.binary(max_size=200), st.text(max_size=200).map(str.encode))))


def test_a_parser_that_breaks_would_be_seen() -> None:
    with pytest.raises(json.JSONDecodeError):
        tried(json.loads, b"{")


def test_every_kind_of_fact_refuses_what_is_none() -> None:
    for kind in FACTS:
        for body in (b"", b"[]", b"{}", b'{"model": 3}', b'{"model": "\xff"}', b"\xff", b"null", b"[" * 100_000):
            tried(lambda data, kind=kind: fact_codec.decode(kind, 1, data), body)  # type: ignore[misc]  # bound at once
