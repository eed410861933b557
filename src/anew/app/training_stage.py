"""The settings of data into the stage that plans training."""

from datetime import timedelta

from anew.app.duration import parse_duration
from anew.app.gates import chosen_gates
from anew.app.settings import Settings
from anew.domain.errors import SettingsError
from anew.train import Train
from anew.train.auto_span import AutoSpan
from anew.train.since_change import SinceChange
from anew.train.sources import Sources
from anew.train.span import Span

__all__ = ["LEAST_WINDOWS", "training_stage"]

LEAST_WINDOWS = 5
"""Windows of the shortest span that is chosen by itself: fewer rows teach little, whatever changed."""


def training_stage(
    settings: Settings, *, label_delay: timedelta | None = None, window: timedelta | None = None
) -> Train:
    """Return the stage; `label_delay` and `window` where they are not what the settings say.

    Raises
    ------
    SettingsError
        A span is to be chosen by windows of time, and windows are so many rows.
    """
    data = settings.policy.data
    delay = settings.label_delay if label_delay is None else label_delay
    return Train(
        span=_span(settings, delay, settings.window if window is None else window),
        holdout_share=data.holdout,
        holdout_most=data.holdout_most,
        holdout_least=chosen_gates(settings).least_rows,
        sources=Sources(max_share=data.max_source_share, uncapped=data.uncapped_sources),
        rehearsal=data.rehearsal,
    )


def _span(settings: Settings, delay: timedelta, window: timedelta | None) -> Span | SinceChange | AutoSpan:
    text = settings.policy.data.span
    if text == "all":
        return Span()
    if text not in ("auto", "since_change"):
        # A span reaches back from the newest mature label, so that a short one is not spent on rows that have none yet.
        return Span(length=parse_duration(text) + delay)
    if window is None:
        raise SettingsError(
            f"{settings.document.where(('data', 'span'))}: data.span: {text} counts in windows of time, and "
            f"monitor.window is {settings.policy.monitor.window!r}; give a length such as 1d there, or a span such as "
            "90d"
        )
    if text == "auto":
        return AutoSpan(window=window, delay=delay, shortest=LEAST_WINDOWS)
    return SinceChange(least=LEAST_WINDOWS * window, delay=delay)
