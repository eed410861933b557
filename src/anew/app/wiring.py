"""Settings into a wired loop: which detectors, gates and judges the stages are made of."""

from datetime import timedelta
from functools import partial
from types import MappingProxyType

from anew.app.component import collect
from anew.app.duration import parse_amount, parse_duration, parse_rate
from anew.app.gates import chosen_gates
from anew.app.governing import governed_by
from anew.app.judging import judged_by
from anew.app.objective import CODE
from anew.app.row_kind import aggregate_problems
from anew.app.settings import Settings
from anew.app.suites import suite_sources
from anew.app.training import search_plan
from anew.app.training_stage import training_stage
from anew.app.watch import watched_by
from anew.domain.errors import SettingsError
from anew.feedback import Feedback
from anew.loop.engine import Stages
from anew.monitor import Monitor
from anew.registry import Registry
from anew.trigger import Economy, Trigger
from anew.trigger.budget import Allowance, Budget
from anew.trigger.cooldown import Cooldown
from anew.trigger.cost import Cost
from anew.validate import Validate

__all__ = ["stages"]


def stages(
    settings: Settings,
    *,
    label_delay: timedelta | None = None,
    window: timedelta | None = None,
    packaged: bool = True,
    shares: bool = False,
) -> Stages:
    """Return the deciders of a project, in the order in which they hear a fact.

    Parameters
    ----------
    label_delay
        How old labels have to be, when it is not what the settings say. The span of training rows reaches back from
        the newest mature label, so that a short one is not spent on rows that have none yet.
    window
        Length of a window, when it is not what the settings say.
    packaged
        Are candidates stored? Otherwise gates that look at the stored artifact are left out, and nobody is asked.
    shares
        Do requests to retrain wait for their turn at compute that models share?

    Raises
    ------
    SettingsError
        A component is unknown or its options cannot be; each with its place in the file.
    """
    policy = settings.policy
    problems: list[str] = []
    watched = collect(problems, "", partial(watched_by, settings, window=window))
    chosen = collect(problems, "", partial(chosen_gates, settings))
    suites = collect(problems, "", partial(suite_sources, settings))
    judging = collect(problems, "", partial(judged_by, settings, watched, window=window, label_delay=label_delay))
    governance = collect(problems, "", partial(governed_by, settings, asks=packaged, shares=shares))
    training = collect(problems, "", partial(training_stage, settings, label_delay=label_delay, window=window))
    collect(problems, "", partial(search_plan, settings))
    for name, definition in policy.business.items():
        if not definition.startswith(CODE):
            where = settings.document.where(("business", name))
            problems += [f"{where}: {problem}" for problem in aggregate_problems(name, settings)]
    allowances = collect(problems, settings.document.where(("policy", "budget")), partial(_allowances, settings))
    economy = collect(problems, settings.document.where(("policy", "cost")), partial(_economy, settings))
    if (
        watched is None
        or chosen is None
        or judging is None
        or training is None
        or suites is None
        or governance is None
        or problems
    ):
        raise SettingsError(*dict.fromkeys(problems))
    chosen = chosen if packaged else chosen.unpackaged()
    return MappingProxyType(
        {
            "registry": Registry(),
            "feedback": Feedback(),
            "monitor": Monitor(watched.detectors),
            "trigger": Trigger(
                conditions=tuple(watched.conditions),
                schedules=tuple(watched.schedules),
                changes=watched.changes,
                new_data=watched.new_data,
                cooldown=Cooldown(length=parse_duration(policy.policy.cooldown)),
                budget=_budget(policy.policy.budget.retrains),
                allowances=allowances or (),
                economy=economy,
                arms=len(judging.rollout.arms),
            ),
            "governance": governance,
            "train": training,
            "validate": Validate(gates=chosen.gates, asking=chosen.asking),
            "rollout": judging.rollout,
        }
    )


def _budget(text: str) -> Budget | None:
    if not text:
        return None
    retrains, period = parse_rate(text)
    return Budget(retrains=retrains, period=period)


def _allowances(settings: Settings) -> tuple[Allowance, ...]:
    budget, cost = settings.policy.policy.budget, settings.policy.policy.cost
    found = []
    if budget.compute_hours:
        hours, period = parse_amount(budget.compute_hours)
        found.append(Allowance(of="compute hours", amount=hours, period=period))
    if budget.cost:
        money, period = parse_amount(budget.cost)
        measured = cost.retrain == "measured"
        priced = {"per_hour": cost.compute_hour} if measured else {"per_hour": 0.0, "per_run": float(cost.retrain)}
        found.append(Allowance(of="money", amount=money, period=period, **priced))
    return tuple(found)


def _economy(settings: Settings) -> Economy | None:
    policy = settings.policy.policy
    cost = Cost(
        error=policy.cost.error,
        retrain=None if policy.cost.retrain == "measured" else policy.cost.retrain,
        compute_hour=policy.cost.compute_hour,
        windows=policy.cost.windows,
    )
    return Economy(cost=cost) if policy.rule == "economic" else None
