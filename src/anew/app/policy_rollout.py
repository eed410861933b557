"""What `anew.yaml` may say of the way to traffic."""

from typing import Annotated, Literal

from pydantic import Field

from anew.app.policy_section import Section

__all__ = ["CanaryPolicy", "GuardrailPolicy", "KPIPolicy", "RolloutPolicy", "ShadowPolicy"]

Share = Annotated[float, Field(gt=0, lt=1)]
Alpha = Annotated[float, Field(gt=0, lt=0.5)]


class KPIPolicy(Section):
    """What a single answer is worth to the business."""

    value: str = Field(description="expression in SQL over features, prediction and label: one number for each row")
    low: float = Field(description="the least that counts")
    high: float = Field(description="the most that counts")
    better: Literal["higher", "lower"] = Field(default="higher", description="which way is good")


class ShadowPolicy(Section):
    """What shadow must prove."""

    metric: str = Field(default="error", description="error, or the name of a kpi, for which margins are shares")
    margin: Share = Field(default=0.01, description="excess loss that is tolerated")
    alpha: Alpha = Field(default=0.05, description="chance of a wrong decision")
    at_least_rows: int = Field(default=200, gt=0, description="paired labels needed")


class CanaryPolicy(Section):
    """What a canary step guards against."""

    metric: str = Field(default="error", description="error, or the name of a kpi, for which limits are shares")
    harm: Share = Field(default=0.05, description="excess loss that counts as harm")
    margin: Share | None = Field(default=None, description="excess loss that each step must also rule out")
    alpha: Alpha = Field(default=0.05, description="chance of a wrong decision, over all steps")
    at_least_rows: int = Field(default=100, gt=0, description="labels of the challenger's arm that a step needs")


class GuardrailPolicy(Section):
    """Limits on the challenger that need no labels."""

    error_rate: Share = Field(default=0.02, description="share of failed or nonsensical answers")
    at_least_errors: int = Field(default=5, gt=0, description="failures, or slow answers, below which nothing trips")
    p99_ms: float | None = Field(
        default=None, gt=0, description="99th percentile of the challenger's latency; below the deadline"
    )
    rules: float | None = Field(
        default=None, ge=0, lt=1, description="share of its answers that may break a rule among the triggers"
    )


class RolloutPolicy(Section):
    """The way to traffic."""

    strategy: Literal["staged", "blue_green", "ab"] = Field(
        default="staged",
        description="shadow and canary; all traffic at once to a second set of workers, on the proof of the gates; or "
        "several challengers side by side",
    )
    kpis: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], KPIPolicy] = Field(
        default_factory=dict, description="bounded measures of a single answer, by name"
    )
    shadow: ShadowPolicy = ShadowPolicy()
    canary: tuple[Share, ...] = Field(default=(0.1, 0.5), description="shares of traffic, ascending")
    arms: tuple[Share, ...] = Field(
        default=(), description="shares of traffic of the arms of a trial, by place; the champion keeps the rest"
    )
    judge: CanaryPolicy = CanaryPolicy()
    guardrails: GuardrailPolicy = GuardrailPolicy()
    expire: str = Field(
        default="",
        description="event time without progress after which a rollout is given up; empty: 30d or ten windows, "
        "whichever is longer, and the label delay",
    )
    patience: str = Field(
        default="",
        description="event time without a step after which a later candidate takes a challenger's place; empty: 3d or "
        "five windows, whichever is longer, and the label delay",
    )
