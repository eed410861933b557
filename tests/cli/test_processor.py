"""numpy is told to sort with 256 bits where 512 are slower, and nowhere else."""

import os
import subprocess
import sys

import pytest

from anew.cli._processor import NUMPY_FEATURES, slow_at_sorting, this_processor

ZEN4 = "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\nflags\t\t: fpu avx2 avx512f gfni\n"


@pytest.mark.parametrize(
    ("cpuinfo", "slow"),
    [
        (ZEN4, True),
        (ZEN4 + "\nprocessor\t: 1\nvendor_id\t: GenuineIntel\n", True),
        (ZEN4.replace("avx512f ", ""), False),  # Zen 3
        (ZEN4.replace("25", "26"), False),  # Zen 5
        (ZEN4.replace("AuthenticAMD", "GenuineIntel"), False),
        ("", False),
        ("Features\t: fp asimd\nCPU implementer\t: 0x41\n", False),
    ],
)
def test_only_the_processors_that_are_known_to_be_slow_are(cpuinfo: str, slow: bool) -> None:
    assert slow_at_sorting(cpuinfo) is slow


@pytest.mark.parametrize("verb", ["data", "rollout"])
def test_a_light_verb_tells_numpy_before_it_is_loaded_and_leaves_what_a_person_set(verb: str) -> None:
    def told(**settings: str) -> str:
        code = (
            "import atexit, os, sys; sys.argv = ['anew', sys.argv[1], '--help'];"
            "atexit.register(lambda: print('told', os.environ.get('NPY_DISABLE_CPU_FEATURES', ''), file=sys.stderr));"
            "from anew.cli import main; main()"
        )
        bare = {key: value for key, value in os.environ.items() if key != "NPY_DISABLE_CPU_FEATURES"}
        done = subprocess.run(
            [sys.executable, "-c", code, verb], check=True, capture_output=True, text=True, env=bare | settings
        )
        return done.stderr.strip().splitlines()[-1].removeprefix("told").strip()

    assert told() == (NUMPY_FEATURES if slow_at_sorting(this_processor()) else "")
    assert told(NPY_DISABLE_CPU_FEATURES="AVX512_SPR") == "AVX512_SPR"
