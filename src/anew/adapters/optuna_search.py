"""Searches by Optuna: its tree-structured Parzen estimator, its median pruner, and its journal in one file."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from anew.domain.errors import TrainingError
from anew.ports.search import Space, Trial, TrialState

if TYPE_CHECKING:
    import optuna

__all__ = ["OptunaStudy"]

_PARAMS, _PROBLEM = "params", "problem"
_FREE_TRIALS = 4
"""Trials that must be complete before any is given up."""


class OptunaStudy:
    """See `anew.ports.search.Study`.

    Parameters
    ----------
    journal
        File that trials are kept in, to go on after a crash; None keeps them in memory.
    seed
        Each value is drawn by a sampler of its own, seeded with this, the number of the trial and the name of the
        value: a search that was killed between two values draws the second as if nothing had been.
    trials
        How many are planned; a third of them, ten at most, are drawn at random before the estimator begins.
    warm
        Values for the first trials; those that the space no longer has, or that lie outside of it, are drawn.
    """

    def __init__(self, journal: Path | None, *, seed: int, trials: int, warm: Sequence[Mapping[str, Any]] = ()) -> None:
        import optuna  # noqa: PLC0415 - takes a second, which only runs with a search need
        from optuna.storages.journal import JournalFileBackend  # noqa: PLC0415 - likewise

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna = optuna
        storage = None
        if journal is not None:
            _mend(journal)
            storage = optuna.storages.JournalStorage(JournalFileBackend(str(journal), cast("Any", _Alone())))
        sampler = _sampler(optuna, seed, max(1, min(10, trials // 3)), warm)
        self._study = optuna.create_study(
            storage=storage,
            study_name="search",
            load_if_exists=True,
            sampler=sampler,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=_FREE_TRIALS),
        )
        self._running: dict[int, optuna.Trial] = {}

    def trials(self) -> Sequence[Trial]:
        """Return every trial; one that was being asked for at a crash is not among them."""
        return [_plain(each) for each in self._frozen() if _PARAMS in each.user_attrs]

    def ask(self, space: Space) -> Trial:
        """Ask for a trial, or go on asking for the one that was interrupted."""
        begun = next((each for each in self._frozen() if _PARAMS not in each.user_attrs), None)
        trial = self._study.ask() if begun is None else self._again(begun)
        params = space(trial)
        if not isinstance(params, Mapping):
            raise TrainingError(
                "error", f"search_space() returned {type(params).__name__}; return a mapping of parameters"
            )
        try:
            trial.set_user_attr(_PARAMS, dict(params))
        except TypeError as exc:
            raise TrainingError("error", f"search_space() returned what JSON cannot keep: {exc}") from exc
        self._running[trial.number] = trial
        return _plain(self._frozen()[trial.number])

    def report(self, number: int, mean: float) -> None:
        """Add a mean."""
        self._trial(number).report(mean, len(self._frozen()[number].intermediate_values))

    def is_hopeless(self, number: int) -> bool:
        """Ask the pruner."""
        return self._trial(number).should_prune()

    def end(self, number: int, state: TrialState, problem: str = "") -> None:
        """End a trial."""
        states = self._optuna.trial.TrialState
        trial = self._trial(number)
        if problem:
            trial.set_user_attr(_PROBLEM, problem[:500])
        if state is TrialState.COMPLETE:
            means = self._frozen()[number].intermediate_values
            self._study.tell(trial, means[max(means)])
        else:
            self._study.tell(trial, state=states.PRUNED if state is TrialState.PRUNED else states.FAIL)
        self._running.pop(number, None)

    def elapsed_s(self) -> float:
        """Return the seconds since the first trial."""
        begun = [each.datetime_start for each in self._frozen() if each.datetime_start is not None]
        return (datetime.now() - min(begun)).total_seconds() if begun else 0.0  # noqa: DTZ005 - Optuna's have no zone

    def _frozen(self) -> "Sequence[optuna.trial.FrozenTrial]":
        return self._study.get_trials(deepcopy=False)

    def _trial(self, number: int) -> "optuna.Trial":
        if number not in self._running:
            self._running[number] = self._again(self._frozen()[number])
        return self._running[number]

    def _again(self, frozen: "optuna.trial.FrozenTrial") -> "optuna.Trial":
        return self._optuna.Trial(self._study, frozen._trial_id)  # the way to a trial that is on record


def _plain(frozen: "optuna.trial.FrozenTrial") -> Trial:
    state = {"COMPLETE": TrialState.COMPLETE, "PRUNED": TrialState.PRUNED, "FAIL": TrialState.FAILED}
    return Trial(
        number=frozen.number,
        state=state.get(frozen.state.name, TrialState.RUNNING),
        suggested=dict(frozen.params),
        params=frozen.user_attrs[_PARAMS],
        means=tuple(value for _, value in sorted(frozen.intermediate_values.items())),
        problem=frozen.user_attrs.get(_PROBLEM, ""),
    )


def _sampler(optuna: Any, seed: int, startup: int, warm: Sequence[Mapping[str, Any]]) -> Any:
    """Make a sampler without a state of its own."""

    class Drawn(optuna.samplers.BaseSampler):  # type: ignore[misc]  # its base is imported late
        """Draws each value from the trials that have ended, by a seed of its own."""

        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:  # noqa: ARG002 - Optuna's
            """Return nothing: values are drawn one by one."""
            return {}

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:  # noqa: ARG002 - Optuna's
            """Return nothing."""
            return {}

        def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
            """Draw one value, or take it from before."""
            if trial.number < len(warm) and param_name in warm[trial.number]:
                value = warm[trial.number][param_name]
                if _admits(param_distribution, value):
                    return value
            text = f"{seed}/{trial.number}/{param_name}"
            own = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
            sampler = optuna.samplers.TPESampler(seed=own, n_startup_trials=startup)
            return sampler.sample_independent(study, trial, param_name, param_distribution)

    return Drawn()


def _admits(distribution: Any, value: Any) -> bool:
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))  # no public way to ask
    except (TypeError, ValueError):
        return False


class _Alone:
    """No lock: a job's supervisor sees to it that one process works on its journal."""

    def acquire(self) -> bool:
        """Take it."""
        return True

    def release(self) -> None:
        """Let it go."""


def _mend(journal: Path) -> None:
    """Cut off the line that a process was writing when it was killed; Optuna would append to it."""
    if not journal.is_file():
        return
    data = journal.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with journal.open("r+b") as file:
            file.truncate(whole)
