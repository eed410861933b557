"""`rollout` of the settings as values: the stage, what it is judged by, and the limits that need no labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from anew.app.component import collect, hint
from anew.app.duration import parse_duration
from anew.app.settings import Settings
from anew.app.watch import Watch
from anew.domain.errors import SettingsError
from anew.loop.breach import RuleLimit
from anew.loop.guardrail import Guardrails
from anew.monitor.rule import Rule
from anew.rollout import KPI, Rollout
from anew.rollout.ab import AB
from anew.rollout.canary import Canary
from anew.rollout.shadow import Shadow

__all__ = ["Judging", "guardrails", "judged_by"]

_ERROR = "error"
_PATIENCE, _PATIENT_WINDOWS = timedelta(days=3), 5
_EXPIRE, _EXPIRE_WINDOWS = timedelta(days=30), 10
_MOST_ON_TRIAL = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """How a challenger is judged.

    Attributes
    ----------
    paired_by, arms_by
        KPI of the pairs and of the arms; None is the error.
    rules
        Limit on answers that break a rule; None for none.
    """

    rollout: Rollout
    paired_by: KPI | None
    arms_by: KPI | None
    rules: RuleLimit | None


def judged_by(
    settings: Settings,
    watched: Watch | None,
    *,
    window: timedelta | None = None,
    label_delay: timedelta | None = None,
) -> Judging:
    """Return how the project's challengers are judged; `watched` is None when it is not known for its own problems.

    Parameters
    ----------
    window, label_delay
        When they are not what the settings say: a rollout goes at the pace of labels, so unless told how long to wait
        it waits for windows of them.

    Raises
    ------
    SettingsError
        Something cannot be: a metric that is not there, a guardrail that nothing could ever trip; each with its place.
    """
    policy, document = settings.policy.rollout, settings.document
    problems: list[str] = []
    kpis: dict[str, KPI] = {}
    for name in policy.kpis:
        made = collect(problems, document.where(("rollout", "kpis", name)), partial(_kpi, settings, name))
        if made is not None:
            kpis[name] = made
    chosen = {}
    for section, metric in (("shadow", policy.shadow.metric), ("judge", policy.judge.metric)):
        where = document.where(("rollout", section, "metric"))
        chosen[section] = collect(problems, where, partial(_chosen, kpis, list(policy.kpis), section, metric))
    problems += _without_signal(settings, watched) + _trial_problems(settings)
    rollout = collect(problems, document.where(("rollout", "canary")), partial(_rollout, settings, window, label_delay))
    if problems or rollout is None:
        raise SettingsError(*dict.fromkeys(problems))
    limit = policy.guardrails.rules
    return Judging(
        rollout=rollout,
        paired_by=(chosen["shadow"] or (None,))[0],
        arms_by=(chosen["judge"] or (None,))[0],
        rules=None
        if limit is None
        else RuleLimit(
            rules=_rules(watched),
            at_most=limit,
            numbered=settings.columns.numbered,
            steps=policy.strategy != "blue_green",
        ),
    )


def guardrails(settings: Settings) -> Guardrails:
    """Return the limits on what the workers report."""
    policy = settings.policy.rollout
    limits = policy.guardrails
    return Guardrails(
        error_rate=limits.error_rate,
        at_least_errors=limits.at_least_errors,
        p99_ms=limits.p99_ms,
        switched=policy.strategy == "blue_green",
    )


def _kpi(settings: Settings, name: str) -> KPI:
    given = settings.policy.rollout.kpis[name]
    if name == _ERROR:
        raise SettingsError("a kpi cannot be called error: that is the loss of the task; choose another name")
    kpi = KPI(name=name, value=given.value, low=given.low, high=given.high, better=given.better)
    known = (*settings.columns.names, "prediction", "label")
    unknown = [each for each in kpi.columns if each not in known]
    if unknown:
        raise SettingsError(f"kpi {name} reads {unknown[0]!r}, which no row has{hint(unknown[0], known)}")
    return kpi


def _chosen(kpis: Mapping[str, KPI], declared: list[str], section: str, metric: str) -> tuple[KPI | None]:
    """Return the KPI called `metric`, None for the error, in a tuple: None alone is a problem."""
    if metric != _ERROR and metric not in declared:
        known = [_ERROR, *declared]
        raise SettingsError(f"rollout.{section}.metric: {metric!r} is measured nowhere{hint(metric, known)}")
    return (kpis.get(metric),)


def _rules(watched: Watch | None) -> tuple[Rule, ...]:
    found = () if watched is None else watched.detectors.values()
    return tuple(each for each in found if isinstance(each, Rule))


def _without_signal(settings: Settings, watched: Watch | None) -> list[str]:
    """Return a problem for each guardrail that nothing could ever trip: it would promise what it does not keep."""
    limits, document = settings.policy.rollout.guardrails, settings.document
    problems = []
    deadline = settings.policy.serving.deadline_ms
    if limits.p99_ms is not None and limits.p99_ms >= deadline:
        where = document.where(("rollout", "guardrails", "p99_ms"))
        problems.append(
            f"{where}: rollout.guardrails.p99_ms: no answer takes {limits.p99_ms:g} ms: serving.deadline_ms cuts it "
            f"off at {deadline:g} ms and counts an error; give less, or leave it out"
        )
    if limits.rules is not None and watched is not None and not _rules(watched):
        where = document.where(("rollout", "guardrails", "rules"))
        problems.append(
            f"{where}: rollout.guardrails.rules: there is no rule among the triggers that an answer could break; "
            f'write one, e.g. {{rule: "prediction >= 0"}}'
        )
    return problems


def _trial_problems(settings: Settings) -> list[str]:
    """Return a problem for all that a trial of arms side by side, or the lack of one, leaves without a meaning."""
    policy, document = settings.policy.rollout, settings.document
    problems = []

    def problem(name: str, said: str) -> None:
        problems.append(f"{document.where(('rollout', name))}: rollout.{name}: {said}")

    if policy.strategy != "ab":
        if policy.arms:
            problem("arms", f"the strategy is {policy.strategy}, which has none; write strategy: ab, or leave them out")
        return problems
    if not policy.arms:
        problem("strategy", "ab needs arms: the share of each, e.g. arms: [0.2, 0.2, 0.2]")
    elif sum(policy.arms) > _MOST_ON_TRIAL:
        problem("arms", f"they take {sum(policy.arms):.0%} of the traffic; the champion has to keep 10 %")
    for name in sorted({"shadow", "canary"} & policy.model_fields_set):
        problem(name, "a trial (strategy: ab) has none: its arms answer at once; leave it out")
    if settings.policy.serving.log_only:
        problem("strategy", "another server answers (serving.log_only), and no arm could; use staged with canary: []")
    return problems


def _rollout(settings: Settings, window: timedelta | None, label_delay: timedelta | None) -> Rollout:
    policy = settings.policy.rollout
    length = window or settings.window or timedelta()
    delay = parse_duration(settings.policy.monitor.label_delay) if label_delay is None else label_delay

    def waits(given: str, least: timedelta, windows: int) -> timedelta:
        return parse_duration(given) if given else max(least, windows * length) + delay

    shadow, judge = policy.shadow, policy.judge
    return Rollout(
        shadow=Shadow(margin=shadow.margin, alpha=shadow.alpha, at_least_rows=shadow.at_least_rows),
        steps=policy.canary,
        canary=Canary(
            harm=judge.harm,
            alpha=judge.alpha / max(1, len(policy.canary)),
            at_least_rows=judge.at_least_rows,
            margin=judge.margin,
        ),
        arms=policy.arms if policy.strategy == "ab" else (),
        ab=AB(
            harm=judge.harm,
            alpha=judge.alpha,
            arms=max(1, len(policy.arms)),
            at_least_rows=judge.at_least_rows,
            margin=judge.margin,
        ),
        blue_green=policy.strategy == "blue_green",
        expire=waits(policy.expire, _EXPIRE, _EXPIRE_WINDOWS),
        patience=waits(policy.patience, _PATIENCE, _PATIENT_WINDOWS),
    )
