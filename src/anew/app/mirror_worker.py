"""The process that mirrors a project into MLflow; started as ``-m anew.app.mirror_worker PROJECT PID [--once]``.

It reads the record and the artifacts, and nothing waits for it: when it or MLflow is slow, broken or gone, the mirror
falls behind, and catches up later.
"""

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from anew.adapters.fact_reader import count_facts, read_facts
from anew.adapters.job_worker import die_with
from anew.adapters.mlflow_mirror import MLflowMirror
from anew.app.accepted import accepted
from anew.app.kept import kept_artifacts
from anew.app.mirror import mirror_place
from anew.app.mirror_status import STATUS
from anew.app.record_place import record_place
from anew.domain.errors import AnewError
from anew.domain.facts import FACTS
from anew.loop.mirroring import Mirroring, Wish

__all__ = ["main"]

_UNSEEN = frozenset({"Ticked", "RolloutObserved", "WindowClosed", "WindowScored", "RowsChecked"})
_LOOK_S = 1.0
_CHECK_S = 30.0
_BACKOFF_S = (2.0, 5.0, 15.0, 30.0)


def main(project: Path, parent: int, once: bool) -> int:
    """Mirror until the parent is gone; with `once`, until the mirror has all that there is."""
    if not once:
        die_with(parent)
    mirror = _Mirror(project)
    failures = 0
    while True:
        try:
            mirror.step()
            failures = 0
        except AnewError as exc:
            failures += 1
            mirror.say("unavailable", str(exc))
        if once:
            return 1 if failures else 0
        time.sleep(_BACKOFF_S[min(failures, len(_BACKOFF_S)) - 1] if failures else _LOOK_S)


class _Mirror:
    def __init__(self, project: Path) -> None:
        settings = accepted(project)
        self._state = settings.state
        store = kept_artifacts(self._state)
        uri, artifacts = mirror_place(settings)
        client = MLflowMirror(uri=uri, model=settings.model, artifacts=artifacts)
        self._mirroring = Mirroring(client, self._state / "mirror" / "shown.json", store.get)
        self._wish, self._heard = Wish(), 0
        self._seen, self._check_at = -1, 0.0

    def step(self) -> None:
        """Bring the mirror to the record when that has grown, and look from time to time what became of it."""
        count, now = count_facts(record_place(self._state)), time.monotonic()
        if count != self._seen:
            for each in read_facts(record_place(self._state), self._heard, kinds=FACTS.keys() - _UNSEEN):
                self._wish.hear(each.fact)
                self._heard = each.seq
            self._mirroring.bring(self._wish.wanted())
            self._seen = count
        if now >= self._check_at:
            self._check_at = now + _CHECK_S
            altered = self._mirroring.altered()
            self.say("registry_out_of_sync" if altered else "in_sync", "; ".join(altered))

    def say(self, state: str, detail: str) -> None:
        """Leave a note of how it stands."""
        file = self._state / STATUS
        file.parent.mkdir(parents=True, exist_ok=True)
        at = datetime.now(UTC).isoformat()
        draft = file.with_suffix(".part")
        draft.write_text(json.dumps({"state": state, "detail": detail, "at": at, "facts": self._seen}), "utf-8")
        draft.replace(file)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), "--once" in sys.argv[3:]))
