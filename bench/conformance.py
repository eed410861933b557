"""Distances and tests of ours beside SciPy's, Evidently's, NannyML's, whylogs's and alibi-detect's, on fixed columns.

Run it as ``make bench-conformance``. Each peer runs in its own pinned environment under build/bench-envs. The tests
hold ours to what peers said once, in tests/stats/peer_distances.json; this asks them again: exit 0 only if each says
what is on record, and ours follows from it. ``--record FILE`` writes down what they say now, with their versions.
"""

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path

import numpy as np
from conformance_data import TOGETHER, pairs
from conformance_relations import RELATIONS, TOGETHER_RELATION, Relation
from measured import environment, run, tell

__all__ = ["main"]

FOLDER = Path(__file__).parent
RECORD = FOLDER.parent / "tests" / "stats" / "peer_distances.json"
PEERS = {
    "scipy": FOLDER / "drift_peers" / "evidently.txt",
    "evidently": FOLDER / "drift_peers" / "evidently.txt",
    "nannyml": FOLDER / "drift_peers" / "nannyml.txt",
    "whylogs": FOLDER / "drift_peers" / "whylogs.txt",
    "alibi": FOLDER / "conformance_peers" / "alibi.txt",
}
"""The pins of the environment that each runs in."""
QUIET = {
    "DO_NOT_TRACK": "1",
    "NML_DISABLE_USAGE_LOGGING": "1",
    "PYTHONWARNINGS": "ignore",
    "WHYLOGS_NO_ANALYTICS": "True",
    "HF_HUB_OFFLINE": "1",
}

Said = dict[str, dict]


def asked() -> Said:
    """Ask every peer: version, and values by column and measure."""
    found: Said = {}
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "columns.json"
        file.write_text(json.dumps({name: [side.tolist() for side in pair] for name, pair in pairs().items()}))
        for peer, pins in PEERS.items():
            tell(f"asking {peer}")
            program = FOLDER / "conformance_peers" / f"{peer}_values.py"
            found[peer] = run([environment(pins.stem, pins), program, file], QUIET).answer
    return found


def compare(said: Said, record: Said) -> bool:
    """Print ours beside theirs; return whether each holds, and they say what is on record."""
    columns, met = pairs(), True
    print(f"{'':13}{'':12}{'':20}{'theirs':>12}{'ours':>12}{'apart':>11}")
    for peer, told in said.items():
        for column, values in told["values"].items():
            for measure, theirs in values.items():
                relation = TOGETHER_RELATION if column == "together" else RELATIONS[peer, measure]
                sides = together() if column == "together" else columns[column]
                ours, value = relation.ours(*sides), shown(measure, peer, theirs)
                again = same(record, peer, column, measure, theirs, relation.again)
                good = within(relation, ours, value) and again
                met &= good
                verdict = "" if good else "  MISSED" if again else "  not what is on record"
                print(f"{peer:13}{column:12}{measure:20}{value:>12.6f}{ours:>12.6f}{abs(ours - value):>11.1e}{verdict}")
    versions = ", ".join(f"{peer} {told['version']}" for peer, told in said.items())
    print(f"\n{'met   ' if met else 'MISSED'}  ours follow from theirs within each relation's bound: {versions}")
    return met


def together() -> tuple[np.ndarray, np.ndarray]:
    """Return the columns that are compared as whole rows, as points."""
    columns = pairs()
    return tuple(np.column_stack([columns[name][side] for name in TOGETHER]) for side in (0, 1))


def shown(measure: str, peer: str, value: float) -> float:
    """Return what is compared: of a p-value of Kolmogorov and Smirnov's test the logarithm."""
    return -math.log10(value) if (peer, measure) in RELATIONS and measure == "ks_p" else value


def within(relation: Relation, ours: float, theirs: float) -> bool:
    """Does theirs lie as near as the relation says?"""
    return math.isclose(ours, theirs, rel_tol=relation.relative, abs_tol=relation.absolute)


def same(record: Said, peer: str, column: str, measure: str, value: float, apart: float) -> bool:
    """Is it what is on record?"""
    held = record.get(peer, {}).get("values", {}).get(column, {}).get(measure)
    return held is not None and math.isclose(held, value, rel_tol=1e-6, abs_tol=apart)


def main() -> None:
    """Ask, compare or record, exit."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--record", type=Path, help="write what the peers say there first")
    given = words.parse_args()
    said = asked()
    if given.record:
        given.record.write_text(json.dumps(said, indent=1, sort_keys=True) + "\n")
    record = json.loads((given.record or RECORD).read_text())
    sys.exit(0 if compare(said, record) else 1)


if __name__ == "__main__":
    main()
