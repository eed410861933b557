"""What this machine's processor is bad at, so that numpy, before it is loaded, can be told not to do it."""

from pathlib import Path

__all__ = ["NUMPY_FEATURES", "slow_at_sorting", "this_processor"]

NUMPY_FEATURES = "X86_V4"
"""What numpy calls the instructions that it is to leave alone there: those with registers of 512 bits."""

_ENOUGH = 16_384
"""Bytes that hold what /proc/cpuinfo says of the first core."""


def this_processor() -> str:
    """Return what Linux says of the processor; nothing elsewhere."""
    try:
        with Path("/proc/cpuinfo").open(encoding="ascii", errors="replace") as file:
            return file.read(_ENOUGH)
    except OSError:
        return ""


def slow_at_sorting(cpuinfo: str) -> bool:
    """Does numpy sort several times as slowly on it with 512 bits as with 256?

    So it is on AMD's family 25 where it has AVX-512 (Zen 4): compressing a register into memory is microcode there, and
    that is how numpy's vector sort parts numbers. 65,536 float64 took 2.8 ms, and 0.9 ms with AVX2 (numpy 2.4.6).
    """
    said = dict(_line(each) for each in cpuinfo.partition("\n\n")[0].splitlines() if ":" in each)
    amd = said.get("vendor_id") == "AuthenticAMD" and said.get("cpu family") == "25"
    return amd and "avx512f" in said.get("flags", "").split()


def _line(text: str) -> tuple[str, str]:
    name, _, value = text.partition(":")
    return name.strip(), value.strip()
