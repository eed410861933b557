"""The settings of data into the stage that plans training."""

from datetime import timedelta

from anew.app.duration import parse_duration
from anew.app.gates import chosen_gates
from anew.app.settings import Settings
from anew.domain.duration import write_duration
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
        A span is to be chosen by windows of time, and windows are so many rows; or rows are deleted before they are
        trained on.
    """
    data = settings.policy.data
    delay = settings.label_delay if label_delay is None else label_delay
    _refuse_short_keep(settings)
    return Train(
        span=_span(settings, delay, settings.window if window is None else window),
        holdout_share=data.holdout,
        holdout_most=data.holdout_most,
        holdout_least=chosen_gates(settings).least_rows,
        sources=Sources(max_share=data.max_source_share, uncapped=data.uncapped_sources, holdout=data.holdout_sources),
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


def _refuse_short_keep(settings: Settings) -> None:
    """Refuse to delete rows that the shortest span reaches back to, or whose labels are not mature."""
    text, window = settings.policy.data.span, settings.window or timedelta(0)
    if text == "all":
        least, said = window, "a window"
    elif text in ("auto", "since_change"):
        least, said = LEAST_WINDOWS * window, f"the {LEAST_WINDOWS} windows that data.span: {text} has at least"
    else:
        least, said = parse_duration(text), f"data.span: {text}"
    least += settings.label_delay
    if settings.keep is not None and settings.keep < least:
        raise SettingsError(
            f"{settings.document.where(('data', 'keep'))}: data.keep: {settings.policy.data.keep} deletes rows before "
            f"they are trained on: {said} and monitor.label_delay are {write_duration(least)}; keep that or longer"
        )
