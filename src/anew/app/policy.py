"""What `anew.yaml` may say: the policy as code."""

import json
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator
from pydantic_core import PydanticCustomError

from anew.app.policy_access import AccessPolicy, DashboardPolicy, OIDCPolicy
from anew.app.policy_feedback import FeedbackPolicy, ImplicitPolicy, Reference, ReviewPolicy
from anew.app.policy_governance import GovernancePolicy
from anew.app.policy_rollout import CanaryPolicy, GuardrailPolicy, KPIPolicy, RolloutPolicy, ShadowPolicy
from anew.app.policy_section import Section, in_a_period
from anew.app.policy_stores import StoresPolicy
from anew.app.secret import is_reference, is_url
from anew.domain.column import Column, Task
from anew.domain.facts import FACTS

__all__ = [
    "AccessPolicy",
    "AdoptPolicy",
    "BudgetPolicy",
    "CanaryPolicy",
    "ColumnsPolicy",
    "CostPolicy",
    "DashboardPolicy",
    "DataPolicy",
    "EventsPolicy",
    "FeatureStorePolicy",
    "FeedbackPolicy",
    "GuardrailPolicy",
    "ImplicitPolicy",
    "KPIPolicy",
    "LoopPolicy",
    "MonitorPolicy",
    "OIDCPolicy",
    "ProjectPolicy",
    "RequestPolicy",
    "ReviewPolicy",
    "RolloutPolicy",
    "SearchPolicy",
    "ServingPolicy",
    "ShadowPolicy",
    "SuitePolicy",
    "TracesPolicy",
    "TrainPolicy",
    "WebhookPolicy",
    "policy_schema",
]

Share = Annotated[float, Field(gt=0, lt=1)]
Alpha = Annotated[float, Field(gt=0, lt=0.5)]


def _feature_kind(given: object) -> object:
    if isinstance(given, str):
        Column.declared_as("feature", given)
    return given


FeatureKind = Annotated[
    str,
    BeforeValidator(_feature_kind),
    Field(json_schema_extra={"pattern": r"^(number|category|vector\([1-9][0-9]{0,3}\))$"}),
]


class ColumnsPolicy(Section):
    """The row contract: names and kinds of columns."""

    time: str = Field(description="event-time column")
    target: str = Field(description="label column")
    features: dict[str, FeatureKind] = Field(description="feature columns in order: number, category or vector(WIDTH)")
    classes: tuple[int | str, ...] = Field(default=(), description="class labels, for classification")
    key: str = Field(default="", description="column that keeps a user on one arm; empty: the prediction id")
    sensitive: tuple[str, ...] = Field(
        default=(), description="columns kept for the fairness gate, never for the model"
    )
    personal: tuple[str, ...] = Field(default=(), description="those whose values nobody is shown, inside or out")
    zone: Literal["UTC"] = Field(default="UTC", description="zone that timestamps without one are read in")


class DataPolicy(Section):
    """Where training rows come from."""

    history: str = Field(default="", description="file of labelled rows from before anew served, imported once")
    span: str = Field(
        default="all", description="event time of training rows: a duration such as 90d, all, since_change, or auto"
    )
    blend: bool = Field(
        default=True, description="do the two models of span: auto answer as one, where their format can (LightGBM)"
    )
    holdout: Share = Field(default=0.15, description="newest share of the span that is kept for the gates")
    holdout_most: int = Field(
        default=0, ge=0, description="rows that are enough to be kept for the gates, whatever the share; 0: any"
    )
    keep: str = Field(default="", description="event time after which rows are deleted, e.g. 180d; empty: never")
    rehearsal: float = Field(
        default=0.0, ge=0, lt=1, description="share of the rows trained on that are drawn from before the span"
    )
    max_source_share: float = Field(
        default=1.0, gt=0, le=1, description="share of the rows that the labels of one source may have; 1: any"
    )
    uncapped_sources: tuple[str, ...] = Field(default=(), description="sources that may have more")
    holdout_sources: tuple[str, ...] = Field(
        default=(), description="sources whose rows alone are kept for the gates, e.g. of an audit; empty: any"
    )


class MonitorPolicy(Section):
    """Windows and their maturity; all in event time."""

    window: str = Field(default="1d", description="length of a window, or its predictions: 500 rows")
    lateness: str = Field(default="0s", description="how long a window waits for late rows")
    label_delay: str = Field(default="0s", description="age at which a label counts as mature")
    false_alarms: str = Field(
        default="1 per 365d",
        description="false alerts that all calibrated detectors together may raise: N per PERIOD or per M windows",
    )
    metrics: tuple[str, ...] = Field(default=(), description="metrics that are put on record for each window")
    slices: tuple[str, ...] = Field(default=(), description="features whose values are slices that these are taken on")
    clock: Literal["wall", "data"] = Field(
        default="wall", description="event time follows the wall clock, or the newest row seen"
    )


class AdoptPolicy(Section):
    """A model that was made elsewhere, as the first champion; retrains fit as pipeline.py says."""

    model: str = Field(description="the model's file, relative to the project")
    format: Literal["lightgbm", "skops", "onnx", "xgboost"] = Field(description="what kind of file it is")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="what the file has to be, in hex")


class RequestPolicy(Section):
    """What a cluster sets aside for a run, and for each trial of its search that runs apart."""

    cpus: float = Field(default=1.0, gt=0, description="cores")
    memory_mb: int = Field(default=0, ge=0, le=1 << 24, description="memory; 0: none in particular")
    gpus: float = Field(default=0.0, ge=0, description="graphics processors, also a part of one")


class TrainPolicy(Section):
    """Parameters and limits of training."""

    params: dict[str, Any] = Field(default_factory=dict, description="handed to train()")
    timeout: str = Field(default="1h", description="wall time after which a run is ended; a search has its own besides")
    cpu: str = Field(default="4h", description="CPU time after which a process of a run is ended")
    memory_mb: int = Field(default=8192, gt=0, description="address space of each process of a run")
    output_mb: int = Field(default=2048, gt=0, description="what a run may write")
    free_mb: int = Field(default=64, ge=0, description="room on the disk that a run needs to begin")
    sandbox: Literal["auto", "required", "none"] = Field(
        default="auto",
        description="keep user code from other files and the network while it trains: as far as the kernel can, or the "
        "run fails, or not at all",
    )
    reads: tuple[str, ...] = Field(
        default=(), description="files and folders that train() may read besides its rows, relative to the project"
    )
    request: RequestPolicy = RequestPolicy()
    export: Literal["none", "onnx"] = Field(
        default="none",
        description="keep each model as an ONNX graph too, checked to answer the same; it serves where it is faster",
    )
    adopt: AdoptPolicy | None = Field(default=None, description="instead of a first fit; `anew init --model` writes it")


class SearchPolicy(Section):
    """A search for parameters, in the space that search_space(trial) of the pipeline spans."""

    trials: int = Field(default=0, ge=0, description="sets of parameters to try; 0: train.params as they are")
    timeout: str = Field(default="30m", description="wall time after which no further trial begins")
    folds: int = Field(default=3, ge=1, le=20, description="blocks of the newest training rows to score trials on")
    parallel: int = Field(default=1, ge=1, le=64, description="trials at once, each in a process of its own")
    metric: str = Field(default="", description="what is to be best; empty: log_loss, or mae for a regression")
    prune: Literal["median", "none"] = Field(default="median", description="give up trials that are worse than this")


class CostPolicy(Section):
    """What a retrain costs, and what an error does, for the economic rule; money in one currency of your own."""

    retrain: Annotated[float, Field(gt=0)] | Literal["measured"] = Field(
        default="measured", description="money of a retrain; measured: from the CPU time of past runs"
    )
    error: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="money of one wrong answer, or of an error as large as the labels' range"
    )
    compute_hour: float = Field(default=0.05, gt=0, description="money of an hour of CPU")
    windows: float = Field(
        default=1.0, gt=0, description="without `error`: a retrain is worth what a new model loses in so many windows"
    )

    @field_validator("retrain", mode="before")
    @classmethod
    def _a_price(cls, value: object) -> object:
        number = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
        if not number and value != "measured":
            raise PydanticCustomError("price", "write a number above 0, or measured")
        return value

    @property
    def hour_written(self) -> float:
        """Money of an hour of CPU where the policy says it, else 0: nobody is told money at a price that we chose."""
        return self.compute_hour if "compute_hour" in self.model_fields_set else 0.0


class BudgetPolicy(Section):
    """How much retraining a period of event time may hold; a person's command is not held by it."""

    retrains: str = Field(default="", description="requests: 8 per 7d; empty: any number")
    compute_hours: str = Field(default="", description="hours of CPU of runs and their gates: 20 per 30d; empty: any")
    cost: str = Field(default="", description="money by `cost`: 50 per 30d; empty: any")

    @field_validator("retrains", "compute_hours", "cost", mode="before")
    @classmethod
    def _in_a_period(cls, value: object) -> object:
        return in_a_period(value)


class LoopPolicy(Section):
    """When retraining may be asked for again."""

    rule: Literal["none", "economic"] = Field(
        default="none",
        description="beside the triggers; economic: when staying has cost what a retrain costs",
    )
    cooldown: str = Field(default="0s", description="event time of rest after a request")
    cost: CostPolicy = CostPolicy()
    budget: BudgetPolicy = BudgetPolicy()


class SuitePolicy(Section):
    """A benchmark suite; one of three kinds."""

    file: str = Field(default="", description="sealed file of labelled rows beside this one, never trained on")
    digest: str = Field(default="", pattern=r"^([0-9a-f]{64})?$", description="SHA-256 of the file: its seal")
    recorded: str = Field(default="", description="the champion's newest recorded answers: 2000 rows")
    past: str = Field(default="", description="rows from before the training span, evenly taken: 2000 rows")


class ServingPolicy(Section):
    """The gateway."""

    host: str = Field(
        default="127.0.0.1", description="address to bind; one that others reach needs access: {anonymous: nobody}"
    )
    port: int = Field(default=8080, ge=0, le=65535, description="0: a free one")
    workers: int = Field(
        default=1, ge=0, le=64, description="gateway processes; 0: `anew gateway` serves this project with others"
    )
    deadline_ms: float = Field(default=200.0, gt=0, description="how long a challenger may take")
    queue_ms: float = Field(
        default=250.0, gt=0, description="how long a request may have to wait for its turn before it is turned away"
    )
    journal_mb: int = Field(default=1024, gt=0, description="bytes that the journals may hold before `on_full` applies")
    on_full: Literal["fail", "drop-counted"] = Field(default="fail", description="when the journal is full")
    log_only: bool = Field(
        default=False, description="another server answers and tells POST /log what it said; here nobody is answered"
    )
    handover: str = Field(
        default="",
        description="folder, relative to the project, where each champion is left for another server; empty: nowhere",
    )
    future_skew: str = Field(default="5m", description="how far in the future an event time may lie")


class WebhookPolicy(Section):
    """Somebody who is told of facts as they are recorded."""

    url: str = Field(description="where the URL is: env:NAME or file:PATH")
    secret: str = Field(default="", description="where the signing secret is; empty sends unsigned")
    kinds: tuple[str, ...] = Field(default=(), description="kinds of facts that are sent; empty: all")

    @field_validator("url", "secret")
    @classmethod
    def _by_reference(cls, text: str) -> str:
        """Refuse a secret that stands in the policy."""
        if text and not is_reference(text):
            raise PydanticCustomError("reference", "it may hold a secret, so write env:NAME or file:PATH, where it is")
        return text

    @field_validator("kinds")
    @classmethod
    def _known(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(kinds) - FACTS.keys())
        if unknown:
            raise ValueError(f"there is no fact called {', '.join(unknown)}; there are {', '.join(sorted(FACTS))}")
        return kinds


class TracesPolicy(Section):
    """Traces for an OpenTelemetry collector, over HTTP."""

    url: str = Field(description="where spans go, e.g. http://localhost:4318/v1/traces, or env:NAME or file:PATH of it")
    headers: dict[str, Reference] = Field(
        default_factory=dict, description="headers that the collector asks for, each with where its value is"
    )
    requests: int = Field(default=20, ge=0, le=1000, description="requests of each window that are spans")

    @field_validator("url")
    @classmethod
    def _an_address(cls, text: str) -> str:
        if not is_url(text) and not is_reference(text):
            raise PydanticCustomError(
                "reference",
                "it is no http or https URL; write one, e.g. http://localhost:4318/v1/traces, "
                "or where it is, env:NAME or file:PATH",
            )
        return text


class EventsPolicy(Section):
    """Facts sent out, apart from the loop, which waits for nobody."""

    webhooks: tuple[WebhookPolicy, ...] = Field(default=(), description="CloudEvents, signed as Standard Webhooks")
    traces: TracesPolicy | None = Field(default=None, description="spans from request to promotion; none: nowhere")
    openlineage: str = Field(default="", description="where run events go: file:PATH or an http(s) URL; empty: nowhere")

    @field_validator("openlineage")
    @classmethod
    def _an_address(cls, text: str) -> str:
        if text and not is_url(text) and not (is_reference(text) and text.startswith("file:")):
            raise PydanticCustomError("reference", "it is no http or https URL; write one, or file:PATH of a file")
        return text


class FeatureStorePolicy(Section):
    """A Feast feature store: what it knows is joined to history as it was then, and read as it is now at serving."""

    repository: str = Field(description="folder of the Feast repository, with feature_store.yaml")
    python: str = Field(
        default=".feast/bin/python", description="interpreter of Feast's own environment, a path or env:NAME"
    )
    server: str = Field(
        default="http://127.0.0.1:6566", pattern=r"^https?://", description="its feature server, for serving"
    )
    entity: dict[str, str] = Field(min_length=1, description="Feast's join keys, each with the column that has it")
    features: dict[str, Annotated[str, Field(pattern=r"^[^:\s]+:[^:\s]+$")]] = Field(
        min_length=1, description="declared features, each with its reference VIEW:FEATURE"
    )
    timeout_ms: float = Field(default=100.0, gt=0, description="how long the feature server may take")


class ProjectPolicy(Section):
    """The whole file."""

    model: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="name of the model")
    task: Task
    pipeline: str = Field(default="pipeline.py", pattern=r"^[A-Za-z0-9_]+\.py$", description="file beside this one")
    columns: ColumnsPolicy
    data: DataPolicy = DataPolicy()
    monitor: MonitorPolicy = MonitorPolicy()
    feedback: FeedbackPolicy = FeedbackPolicy()
    business: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], str] = Field(
        default_factory=dict, description="the project's own metrics by name: an aggregate in SQL, or pipeline:FUNCTION"
    )
    slos: tuple[dict[str, Any], ...] = Field(
        default=(), description="objectives: metric, at_most or at_least, over, for, at_least_rows"
    )
    triggers: tuple[dict[str, Any], ...] = Field(default=(), description="detectors that ask for a retrain, with for")
    policy: LoopPolicy = LoopPolicy()
    train: TrainPolicy = TrainPolicy()
    search: SearchPolicy = SearchPolicy()
    stores: StoresPolicy = StoresPolicy()
    gates: tuple[dict[str, Any], ...] = Field(
        default=({"slos": {}}, {"beats_champion": {}}),
        alias="validate",
        description="gates; mode: required, advisory or ask",
    )
    suites: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], SuitePolicy] = Field(
        default_factory=dict, description="benchmark suites by name, for the gates"
    )
    rollout: RolloutPolicy = RolloutPolicy()
    governance: GovernancePolicy = GovernancePolicy()
    serving: ServingPolicy = ServingPolicy()
    feature_store: FeatureStorePolicy | None = None
    access: AccessPolicy = AccessPolicy()
    dashboard: DashboardPolicy = DashboardPolicy()
    events: EventsPolicy = EventsPolicy()
    notify: tuple[str, ...] = Field(
        default=(), description="who is told what needs a person: where each Apprise URL is, env:NAME or file:PATH"
    )

    @field_validator("notify")
    @classmethod
    def _by_reference(cls, references: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse a secret that stands in the policy."""
        if not all(map(is_reference, references)):
            raise PydanticCustomError("reference", "it may hold a secret, so write env:NAME or file:PATH, where it is")
        return references


def policy_schema() -> str:
    """Return the JSON Schema of the file, for editors that complete and check it while it is written."""
    schema = ProjectPolicy.model_json_schema() | {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"
