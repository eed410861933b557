"""What the workers of the served models counted, as a Prometheus page.

Whoever scrapes one port meets any of the workers behind it, so each page holds all of them, told apart by a label.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from anew.ports.traffic import VersionHealth, WorkerStatus

__all__ = ["MEDIA", "Loop", "Sample", "render"]

MEDIA: Final = b"text/plain; version=0.0.4; charset=utf-8"

_HELP: Final[Mapping[str, tuple[str, str]]] = {
    "anew_gateway_events_total": ("counter", "What happened at a worker since it started, by event."),
    "anew_gateway_request_duration_seconds": ("histogram", "Time from a request's last byte to its reply."),
    "anew_gateway_epoch": ("gauge", "Epoch of the routing that a worker answers by."),
    "anew_gateway_degraded": ("gauge", "1 while a worker cannot do all that it was told to."),
    "anew_version_rows_total": ("counter", "Rows that a version was asked for, by what came of it."),
    "anew_version_duration_seconds": ("histogram", "Time that a version took for the rows of one call."),
    "anew_version_tripped": ("gauge", "1 while a version fails too often to be asked."),
}
_GRID: Final = 4  # counts are kept on a grid of quarter octaves; a page has every octave
_BASE_S: Final = 1e-4

Sample = tuple[str, str, Mapping[str, str], float]
"""Family, suffix, labels, value."""

Loop = tuple[Mapping[str, tuple[str, str]], Sequence[Sample]]
"""What the loop of a model counted: its families, by name with their kind and what they are, and the samples."""


def render(statuses: Sequence[WorkerStatus], loops: Sequence[Loop] = ()) -> bytes:
    """Return the page in the text format of Prometheus, version 0.0.4."""
    samples = [sample for status in statuses for sample in _of_worker(status)]
    samples += [sample for _, told in loops for sample in told]
    lines, families = [], dict(_HELP)
    for described, _ in loops:
        families |= described
    for family, (kind, text) in families.items():
        found = [sample for sample in samples if sample[0] == family]
        if found:
            lines += [f"# HELP {family} {text}", f"# TYPE {family} {kind}"]
            lines += [_line(sample) for sample in found]
    return ("\n".join(lines) + "\n").encode()


def _of_worker(status: WorkerStatus) -> Iterator[Sample]:
    labels = {"model": status.model, "worker": status.worker}
    seconds = status.counts.get("request_us", 0) / 1e6
    for event, count in sorted(status.counts.items()):
        if event != "request_us":
            yield "anew_gateway_events_total", "", {**labels, "event": event}, count
    yield from _histogram("anew_gateway_request_duration_seconds", labels, status.latency, seconds)
    yield "anew_gateway_epoch", "", labels, status.epoch
    yield "anew_gateway_degraded", "", labels, float(bool(status.problem))
    if status.champion is not None:
        yield from _of_version({**labels, "role": "champion", "version": status.champion.version}, status.champion)
    for health in status.challengers:
        yield from _of_version({**labels, "role": "challenger", "version": health.version}, health)


def _of_version(labels: Mapping[str, str], health: VersionHealth) -> Iterator[Sample]:
    failed = sum(health.failed.values())
    yield "anew_version_rows_total", "", {**labels, "outcome": "answered"}, health.asked - failed
    for reason, count in sorted(health.failed.items()):
        yield "anew_version_rows_total", "", {**labels, "outcome": reason}, count
    # an answer counts with the upper end of its place on the grid, by at most 19 % too much
    seconds = sum(count * _BASE_S * 2 ** (i / _GRID) for i, count in enumerate(health.latency))
    yield from _histogram("anew_version_duration_seconds", labels, health.latency, seconds)
    yield "anew_version_tripped", "", labels, float(bool(health.tripped))


def _histogram(family: str, labels: Mapping[str, str], counts: Sequence[int], seconds: float) -> Iterator[Sample]:
    total = 0
    for i, count in enumerate(counts):
        total += count
        if i % _GRID == 0 and i + 1 < len(counts):
            yield family, "_bucket", {**labels, "le": f"{_BASE_S * 2 ** (i // _GRID):.10g}"}, total
    yield family, "_bucket", {**labels, "le": "+Inf"}, total
    yield family, "_sum", labels, seconds
    yield family, "_count", labels, total


def _line(sample: Sample) -> str:
    family, suffix, labels, value = sample
    told = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
    return f"{family}{suffix}{{{told}}} {value:.10g}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
