"""What a project that was brought up keeps in its `.anew` folder: is all of it there, whole, and its owner's alone?"""

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from anew.adapters.fact_reader import count_facts, read_lease
from anew.adapters.lake_position import stored_positions
from anew.adapters.postgres_link import PostgresPlace
from anew.adapters.s3_bucket import S3Bucket
from anew.adapters.segment_reader import SegmentReader, segments
from anew.adapters.signing import Signer
from anew.adapters.sqlite_errors import DELETE_CHECKPOINTS, translate
from anew.adapters.sqlite_opening import read_only
from anew.adapters.system_clock import SystemClock
from anew.app.alone import turning
from anew.app.audit import verify
from anew.app.backup_copy import record_epoch
from anew.app.backup_record import last_backup
from anew.app.computing import cluster_of
from anew.app.doctor.examined import Examined
from anew.app.doctor.times import event_time, recorded_times
from anew.app.kept import count_kept, damaged_kept, kept_artifacts, lost_kept
from anew.app.mirror_status import mirror_status
from anew.app.narration import narrate
from anew.app.record import open_record
from anew.app.record_place import LOCAL, artifact_place, effects_place, record_place
from anew.app.split_history import refuse_older_record
from anew.app.status import project_status, unrecorded_order
from anew.app.stores import open_lake, review_file
from anew.app.unheard import told_unheard, unheard_since
from anew.domain.errors import IntegrityError, NotFoundError
from anew.domain.health import Finding

__all__ = ["STORE"]

_BACKUP_AGE = timedelta(days=7)
_BEAT_S = 30.0
_FULL = 0.8
_COPY_BACK = "copy it back from a backup (state/models, state/snapshots), or end that version: anew rollout prune"
_PUT_AGAIN = (
    "where one is being put now, ask again later; where they were pruned on another machine, delete them from "
    ".anew/models and .anew/snapshots; else `anew migrate` with stores: {artifacts: local}, then with the bucket again"
)
_TAKE_NOTE = "start the loop, which takes note of it: anew up"


def _permissions(project: Examined) -> Finding:
    found = project.state.stat()
    mode, path = stat.S_IMODE(found.st_mode), project.state
    if found.st_uid != os.geteuid():
        return Finding.bad("permissions", f"{path} belongs to user {found.st_uid}", f"chown -R {os.geteuid()} {path}")
    if mode & 0o077:
        return Finding.bad("permissions", f"{path} has mode {mode:04o}: others can read it", f"chmod 700 {path}")
    if not os.access(path, os.W_OK | os.X_OK):
        return Finding.bad("permissions", f"{path} cannot be written", f"chmod 700 {path}")
    return Finding.good("permissions", f"{path.name} is its owner's alone")


def _keys(project: Examined) -> Finding:
    if not (project.state / "keys" / "signing.key").is_file():
        fix = (
            "copy keys/ back from a backup (state/keys there), or anew restore BACKUP PROJECT --replace: what was "
            "signed before is refused under a new key"
        )
        return Finding.bad("signing key", f"there is none in {project.state / 'keys'}", fix)
    Signer.load(project.state / "keys")
    return Finding.good("signing key", "its owner's alone, both halves belong together")


def _database(project: Examined) -> Finding:
    place = record_place(project.state)
    if isinstance(place, PostgresPlace):
        with closing(open_record(project.state, migrate=False)) as database:
            database.integrity_check()
        return Finding.good("database", f"{place} answers, {count_facts(place):,} facts")
    with _reading(place) as connection:
        (said,) = connection.execute(
            "PRAGMA quick_check(1)" if project.quick else "PRAGMA integrity_check(1)"
        ).fetchone()
        (facts,) = connection.execute("SELECT COUNT(*) FROM fact").fetchone()
    if said != "ok":
        return Finding.bad("database", f"anew.db: {said}", "stop, and restore it: anew restore BACKUP PROJECT")
    return Finding.good("database", f"whole, {facts:,} facts")


def _record(project: Examined) -> Finding:
    if project.quick:
        return Finding.skipped("record", "not verified: --quick")
    head = verify(project.settings.root)
    return Finding.good("record", f"the hash chain of {head.seq:,} facts holds, head {head.hash[:12]}")


def _mark(project: Examined) -> Finding:
    file = project.state / "lake.db"
    if not file.is_file():
        return Finding.bad("high-water mark", "lake.db is gone", "stop, and restore it: anew restore BACKUP PROJECT")
    with _reading(file) as connection:
        (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        rows = dict(connection.execute("SELECT name, rows FROM tables").fetchall())
    if said != "ok":
        return Finding.bad("high-water mark", f"lake.db: {said}", "stop, and restore it: anew restore BACKUP PROJECT")
    stored = ", ".join(f"{count:,} {table}" for table, count in sorted(rows.items()))
    return Finding.good("high-water mark", stored or "no table yet")


def _lake(project: Examined) -> Finding:
    if project.quick:
        return Finding.skipped("lake", "not verified: --quick")
    with open_lake(project.settings) as lake:
        damage = list(lake.verify())
        if damage:  # a running loop may have moved it meanwhile: only damage that stays is some
            again = set(lake.verify())
            damage = [each for each in damage if each in again]
    if damage:
        more = f" and {len(damage) - 1} more" if damage[1:] else ""
        fix = "start anew up, which repairs from journals and copies; what it cannot repair: anew restore"
        return Finding.bad("lake", f"{damage[0]}{more}", fix)
    return Finding.good("lake", "every byte is what the mark says")


def _journal(project: Examined) -> Finding:
    folder = project.state / "journal"
    reader = SegmentReader(folder)
    limit = project.settings.policy.serving.journal_mb << 20
    size = sum(file.stat().st_size for name in reader.journals() for file in segments(folder / name))
    behind = 0
    stored = stored_positions(project.state / "lake.db")
    for name in reader.journals():
        after = stored.get(name, 0)
        behind += len(reader.read(name, after=after, most=10_000).observations)
    waiting = f"{behind:,}{'+' if behind >= 10_000 else ''} observations not stored yet"
    said = f"{size / 1e6:,.1f} MB of {limit / 1e6:,.0f} MB, {waiting}"
    if size > _FULL * limit:
        fix = "see why the lake does not take them (anew up says so), or raise serving.journal_mb"
        return Finding.warning("journal", said, fix)
    return Finding.good("journal", said)


def _routing(project: Examined) -> Finding:
    """Is the routing that gateways obey one that the record knows?"""
    routing = project.traffic.published(project.settings.model)
    if routing is None:
        return Finding.good("routing", "none yet")
    known = record_epoch(record_place(project.state))
    refuse_older_record(project.traffic, project.settings.model, known)
    said = f"signed, epoch {routing.epoch}, {routing.champion[0]} serves"
    order = unrecorded_order(project.traffic, project.settings.model, known)
    if order is None:
        return Finding.good("routing", said)
    return Finding.warning("routing", f"{said}; not on record yet: {narrate(order)}", _TAKE_NOTE)


def _champion(project: Examined) -> Finding:
    """Does a version serve, or will one?"""
    status = project_status(project.settings.root)
    if (missing := status["unserved"]) is not None:
        say = Finding.bad if missing["version"] else Finding.warning
        return say("champion", missing["found"], missing["fix"])
    champion = status["champion"]
    if champion is None:
        return Finding.skipped("champion", "none yet; anew status says what is under way")
    said, order = f"{champion['version']}, since {champion['since']}", status["ordered"]
    if order is not None and order["champion"] != champion["version"]:
        serves = f"{order['champion']} serves by an order that is not on record yet; on record is {said}"
        return Finding.warning("champion", serves, _TAKE_NOTE)
    return Finding.good("champion", said)


def _artifacts(project: Examined) -> Finding:
    routing = project.traffic.published(project.settings.model)
    named = [] if routing is None else [each for each in routing.named if each[1]]
    store = kept_artifacts(project.state)
    try:
        for _, digest in named:
            store.get(digest)
    except (IntegrityError, NotFoundError) as exc:
        return Finding.bad("artifacts", str(exc), _COPY_BACK)
    versions = ", ".join(version for version, _ in named)
    # Of those in a bucket, what is here are copies, and a damaged one is fetched again.
    lost = set(lost_kept(project.state))
    if lost := lost and lost & set(lost_kept(project.state)):  # one that is being put may be there by now
        serving = [version for version, digest in named if digest in lost]
        who = f", {', '.join(serving)} among them" if serving else ""
        say = Finding.bad if serving else Finding.warning
        return say("artifacts", f"{len(lost):,} are copies here alone, and not in the bucket{who}", _PUT_AGAIN)
    if not project.quick and artifact_place(project.state) == LOCAL:
        return _whole(project, versions)
    if not named:
        return Finding.skipped("artifacts", "nothing is served yet")
    return Finding.good("artifacts", f"{versions}: every byte is what was signed")


def _whole(project: Examined, named: str) -> Finding:
    """Say whether all models and snapshots that are kept here are whole, those that are `named` among them."""
    damage = damaged_kept(project.state)
    if damage:  # one may have been deleted while it was read: only damage that stays is some
        again = set(damaged_kept(project.state))
        damage = [each for each in damage if each in again]
    if damage:
        more = f" and {len(damage) - 1} more" if damage[1:] else ""
        return Finding.bad("artifacts", f"{damage[0]}{more}", _COPY_BACK)
    said = f"{count_kept(project.state):,} models and snapshots: every byte is what was signed or stored"
    return Finding.good("artifacts", f"{said}; {named} may have to answer" if named else said)


def _queue(project: Examined) -> Finding:
    """Is what people review whole?"""
    file = review_file(project.state)
    if not file.is_file():
        return Finding.good("review queue", "none yet")
    if problem := _problem(file):
        return Finding.bad("review queue", problem, "stop, and restore it: anew restore BACKUP PROJECT")
    return Finding.good("review queue", "whole")


def _effects(project: Examined) -> Finding:
    """Are the checkpoints of what is under way whole? No backup has them, and none is needed."""
    place = effects_place(project.state)
    if isinstance(place, PostgresPlace):
        return Finding.skipped("effects", "their checkpoints are on the server that keeps the record")
    if not place.is_file():
        return Finding.good("effects", "nothing is under way")
    if problem := _problem(place):
        return Finding.bad("effects", problem, DELETE_CHECKPOINTS)
    return Finding.good("effects", "their checkpoints are whole")


def _problem(file: Path) -> str:
    """Return what is wrong with the pages of a SQLite file; empty for nothing."""
    try:
        with _reading(file) as connection:
            (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except IntegrityError as exc:
        return str(exc).rpartition("; ")[0]
    return "" if said == "ok" else f"{file.name}: {said}"


def _loop(project: Examined) -> Finding:
    grant = read_lease(record_place(project.state), clock=SystemClock())
    age = project.traffic.beaten_s()
    if grant is None and (pid := turning(project.state)) is not None:
        return Finding.warning("loop", f"process {pid} runs without the lease", "see what it says; full disk?")
    if grant is None:
        return Finding.warning("loop", "not running", "start it: anew up")
    if age is not None and age > _BEAT_S:
        return Finding.warning("loop", f"run by {grant.holder}, silent for {age:.0f} s", "look at what anew up says")
    return Finding.good("loop", f"run by {grant.holder}")


def _workers(project: Examined) -> Finding:
    model = project.settings.model
    workers, routing = project.traffic.workers(model), project.traffic.published(model)
    if not workers:
        since = unheard_since(project.state)
        found = "none is alive: nobody answers" if since is None else f"none is alive here; {told_unheard(since)}"
        return Finding.warning("workers", found, "start them: anew up, or anew gateway")
    epoch = 0 if routing is None else routing.epoch
    late = [each for each in workers if each.epoch < epoch]
    if late:
        found = "; ".join(f"{each.worker} answers by epoch {each.epoch}: {each.problem or 'slow'}" for each in late)
        return Finding.bad("workers", found, "see logs/gateway-*.log in .anew for why the routing is refused")
    return Finding.good("workers", f"{len(workers)} alive, all answer by epoch {epoch}")


def _backup(project: Examined) -> Finding:
    last = last_backup(project.state)
    fix = "anew backup DEST, every day, to another disk"
    if last is None:
        return Finding.warning("backup", "none was ever made", fix)
    age = datetime.now(UTC) - last.at
    said = f"{last.folder}, {age.total_seconds() / 3600:.1f} hours old, {last.facts:,} facts"
    return Finding.warning("backup", said, fix) if age > _BACKUP_AGE else Finding.good("backup", said)


def _mirror(project: Examined) -> Finding:
    if project.settings.policy.stores.registry == "none":
        return Finding.skipped("mirror", "the policy names none")
    status = mirror_status(project.state)
    if status is None:
        return Finding.warning("mirror", "it has not said anything yet", "start it: anew up")
    said = f"{status['state']} {status['detail']}".strip()
    if status["state"] == "in_sync":
        return Finding.good("mirror", said)
    return Finding.warning("mirror", said, "look at logs/mirror.log in .anew; serving and the loop do without it")


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(read_only(path), uri=True, timeout=5)) as connection:
            yield connection
    except sqlite3.Error as exc:
        raise translate(exc, path) from exc


def _bucket(project: Examined) -> Finding:
    url = project.settings.policy.stores.lake
    if url == "local":
        return Finding.skipped("bucket", "the lake is on this disk")
    return _writers(
        "bucket",
        url,
        "a second put of a commit is refused",
        "two writers would lose each other's commits",
        "lake: local",
    )


def _writers(name: str, url: str, kept: str, lost: str, without: str) -> Finding:
    """Say whether a bucket keeps what is there from others who put the same: what is so kept, else lost."""
    if S3Bucket(url).refuses_overwriting():
        return Finding.good(name, f"{url} answers, and {kept}")
    fix = f"use a store that knows If-None-Match on puts, or stores: {{{without}}}"
    return Finding.bad(name, f"{url} overwrites what is there: {lost}", fix)


def _artifact_bucket(project: Examined) -> Finding:
    place = artifact_place(project.state)
    if place == LOCAL:
        return Finding.skipped("artifact bucket", "versions and snapshots are on this disk")
    kept = "refuses" if S3Bucket(place).refuses_overwriting() else "allows"
    said = f"{place} answers, and {kept} overwriting; what is in it goes by the digest of its bytes"
    return Finding.good("artifact bucket", said)


def _replica_bucket(project: Examined) -> Finding:
    url = project.settings.policy.stores.replicas
    if url == "none":
        return Finding.skipped("replica bucket", "no other hosts answer for the project")
    return _writers(
        "replica bucket", url, "what one host put no other overwrites", "two hosts would lose what they kept",
        "replicas: none",
    )  # fmt: skip


def _compute(project: Examined) -> Finding:
    cluster = cluster_of(project.settings)
    if cluster is None:
        return Finding.skipped("compute", "versions are trained on this machine")
    with closing(cluster):
        why = cluster.silent()
    if not why:
        return Finding.good("compute", f"the Ray cluster at {cluster.address} answers")
    fix = "start it, or correct stores.compute; trainings wait for it meanwhile, and what serves serves on"
    return Finding.bad("compute", f"the Ray cluster at {cluster.address} does not answer: {why}", fix)


STORE: Mapping[str, Callable[[Examined], Finding]] = {
    "permissions": _permissions,
    "signing key": _keys,
    "database": _database,
    "record": _record,
    "recorded times": recorded_times,
    "event time": event_time,
    "high-water mark": _mark,
    "review queue": _queue,
    "effects": _effects,
    "bucket": _bucket,
    "artifact bucket": _artifact_bucket,
    "replica bucket": _replica_bucket,
    "lake": _lake,
    "journal": _journal,
    "routing": _routing,
    "champion": _champion,
    "artifacts": _artifacts,
    "compute": _compute,
    "loop": _loop,
    "workers": _workers,
    "backup": _backup,
    "mirror": _mirror,
}
"""What is looked at in a project that was brought up, by the name of its finding."""
