"""What a backtest found, as lines for a terminal: the table, cost against loss, and what to take."""

import string
from collections.abc import Mapping, Sequence
from typing import Any

from anew.app.backtest import Backtest

__all__ = ["mean_regret", "table"]

_WIDTH, _HEIGHT = 60, 12


def mean_regret(policy: Mapping[str, Any]) -> float:
    """Return the mean of a policy's normalised regret over the prices; infinite where there is none."""
    found = [each for each in policy["normalised_regret"].values() if each is not None]
    return sum(found) / len(found) if found else float("inf")


def table(found: Backtest, report: Mapping[str, Any]) -> list[str]:
    """Return the lines that `anew backtest` prints of ``anew.backtest/1``."""
    policies = sorted(report["policies"], key=lambda each: (mean_regret(each), each["loss"]))
    prices = list(policies[0]["normalised_regret"])
    wide = max(12, *(len(each["policy"]) for each in policies))
    priced = "".join(f"{float(price):>9.1%}" for price in prices)
    lines = [
        f"{report['rows']} rows in {report['windows'] - report['first_windows']} windows, after the "
        f"{report['first_windows']} that the first model is trained on",
        "",
        f"{'':{wide + 36}}regret at a price of",
        f"   {'policy':{wide}}     loss   fits  probes  revivals{priced}     mean",
    ]
    for letter, each in zip(_letters(policies), policies, strict=True):
        regret = "".join(_number(each["normalised_regret"][price]) for price in prices)
        lines.append(
            f"{letter}  {each['policy']:{wide}} {each['loss']:>8.4f} {len(each['fits']):>6} {each['probes']:>7.1f} "
            f"{each['revivals']:>9}{regret}{_number(None if mean_regret(each) == float('inf') else mean_regret(each))}"
        )
    lines += ["", *_hindsight(found, report), "", *_chart(policies, report["oracle"]), ""]
    lines += [f"left out: {name} ({why})" for name, why in found.left_out.items()]
    lines.append(_advice(report))
    if "with_rollout" in report:
        lines.append(_rolled_out(report["with_rollout"]))
    return lines


def _letters(policies: Sequence[object]) -> list[str]:
    known = string.ascii_uppercase + string.ascii_lowercase
    return [known[i % len(known)] for i in range(len(policies))]


def _number(value: float | None) -> str:
    return f"{'-':>9}" if value is None else f"{value:>9.2f}"


def _hindsight(found: Backtest, report: Mapping[str, Any]) -> list[str]:
    oracle = report["oracle"]
    some = [k for k in (0, 1, 2, 3, 5, 10, 20) if k < len(oracle)]
    least = min(range(len(oracle)), key=oracle.__getitem__)
    said = ", ".join(f"{oracle[k]:.4f} with {k}" for k in some)
    lines = [f"hindsight: {said}; least {oracle[least]:.4f} with {least}"]
    if found.hindsight.gain <= 0:
        lines.append("retraining gains nothing on this stream: there is no regret to compare")
    return lines


def _chart(policies: Sequence[Mapping[str, Any]], oracle: Sequence[float]) -> list[str]:
    """Draw loss against fits: policies as letters, hindsight as dots."""
    spent = [len(each["fits"]) + each["probes"] for each in policies]
    most = max(1.0, *spent)
    shown = oracle[: int(most) + 1]
    low, high = min([*oracle, *(each["loss"] for each in policies)]), max(each["loss"] for each in policies)
    high = max(high, *shown)
    grid = [[" "] * (_WIDTH + 1) for _ in range(_HEIGHT + 1)]

    def mark(fits: float, loss: float, sign: str) -> None:
        row = round((high - loss) / ((high - low) or 1.0) * _HEIGHT)
        grid[row][round(fits / most * _WIDTH)] = sign

    for k, loss in enumerate(shown):
        mark(k, loss, "·")
    for letter, fits, each in reversed(list(zip(_letters(policies), spent, policies, strict=True))):
        mark(fits, each["loss"], letter)
    lines = ["loss"]
    for i, row in enumerate(grid):
        level = f"{high - i * (high - low) / _HEIGHT:.4f}" if i % 4 == 0 else ""
        lines.append(f"{level:>8} │{''.join(row).rstrip()}")
    return [*lines, f"{'':8} └{'─' * (_WIDTH + 1)}", f"{'':10}0 fits{most:>{_WIDTH - 5}.0f}   (· hindsight)"]


def _advice(report: Mapping[str, Any]) -> str:
    best = report["recommended"]
    if best is None:
        return "recommended: never"
    low, high = best["interval"]
    return (
        f"recommended: {best['policy']}, mean regret {best['normalised_regret']:.2f} "
        f"(95 % interval {low:.2f} to {high:.2f}; 0 is hindsight, 1 as much more as retraining can gain)"
    )


def _rolled_out(found: Mapping[str, Any]) -> str:
    share = f" ({found['gap'] / found['loss_without']:+.1%})" if found["loss_without"] else ""
    return (
        f"{found['policy']} through gates and rollout: loss {found['loss']:.4f}, {found['loss_without']:.4f} without "
        f"them{share}; {found['fits']} fits instead of {found['fits_without']}, {found['promotions']} promoted, "
        f"{found['held']} held back or given up"
    )
