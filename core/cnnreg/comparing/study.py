"""The trials of a comparison in an Optuna study, which any number of workers take from.

Queueing and taking happen one worker at a time, so each trial is queued once and
taken by one. A worker gives a sign of life (Optuna's heartbeat) while it trains; a
trial whose worker died fails, and is open again as is any that failed: derived
from the study's own list each time, so that no trial can get lost on the way.
Optuna's states: COMPLETE is a finished trial, PRUNED a diverged one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from time import sleep
from traceback import clear_frames
from typing import Any, TypeGuard

import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from cnnreg.errors import CnnregError, InUseError, StoppedError, UsageError
from cnnreg.training.stopping import StopRequest

from .database import Database, DatabaseError
from .liveness import HEARTBEAT, lives, this_worker
from .plan import Trial, check_same
from .results import Result, failed_result

LONGEST_PAUSE = 5.0  # seconds between two looks for trials that others left
DONE = (TrialState.COMPLETE, TrialState.PRUNED)
_CANNOT_TELL = "Cannot tell a FAIL trial"  # of Optuna's ValueError
LIVE = (*DONE, TrialState.WAITING, TrialState.RUNNING)


class Study:
    def __init__(self, database: Database, name: str, *, heartbeat: int | None = None) -> None:
        """Open the study, or make it. Raises MachineError if the database does not answer.

        All its workers keep to the `heartbeat`, in seconds, of the one that made it.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.database = database
        self.failures: dict[str, CnnregError] = {}  # of this worker, by trial
        self._taken = set[int]()  # numbers of trials
        with database.errors(), database.alone():
            self._storage = database.storage()
            self._study = optuna.create_study(
                storage=self._storage,
                study_name=name,
                direction="maximize",  # validation accuracy
                sampler=optuna.samplers.RandomSampler(),  # nothing is sampled: all is queued
                load_if_exists=True,
            )
            if "heartbeat" not in self._study.user_attrs:
                self._study.set_user_attr("heartbeat", heartbeat or HEARTBEAT)
            self.heartbeat = int(self._study.user_attrs["heartbeat"])
            self._storage.beat(self.heartbeat)

    def join(self, settings: Mapping[str, tuple[str, dict[str, Any]]], trials: list[Trial]) -> None:
        """Add what is new. Raises UsageError if a setting is there with another value.

        `settings` holds, by key, a subject to name in that error and the value.
        """
        with self.database.errors(), self.database.alone() as still_here:
            held = self._study.user_attrs
            for key, (subject, value) in settings.items():
                if (begun := _held(held, key)) is not None:
                    check_same(subject, value, begun)
            for key, (_, value) in settings.items():
                if key not in held:
                    self._study.set_user_attr(key, value)
            self._queue(trials, still_here)

    def setting(self, key: str) -> dict[str, Any]:
        """Raises UsageError if the study does not hold it."""
        with self.database.errors():
            value = _held(self._study.user_attrs, key)
        if not isinstance(value, dict):
            raise UsageError(f"The study holds no {key!r}.", where=self.database.place)
        return value

    def results(self) -> list[Result]:
        """Of all that finished or failed, in the order in which they were first queued."""
        with self.database.errors():
            trials = self._trials()
        latest: dict[str, FrozenTrial] = {_name(trial): trial for trial in trials}
        latest |= {_name(trial): trial for trial in trials if trial.state in DONE}
        return [
            _result(trial)
            for trial in latest.values()
            if trial.state in DONE or trial.user_attrs.get("failure")
        ]

    def count(self) -> tuple[int, int]:
        """How many trials are done, and how many there are."""
        with self.database.errors():
            trials = self._trials()
        return sum(trial.state in DONE for trial in trials), len(set(map(_name, trials)))

    def work(
        self,
        train: Callable[[Trial], Result],
        *,
        stop: StopRequest,
        free: Callable[[Trial], bool] = lambda trial: True,
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Take trials until all are done, waiting for those that other workers train.

        One that is not `free` is waited for as well: a worker that was taken for dead
        may still train it. One for which `train` raises a CnnregError is set aside: this
        worker goes on with the others, and leaves it to other workers or to its next `work`.

        Raises StoppedError when `stop` is asked, and any other error of `train`.
        """
        waited = False
        self.failures.clear()
        while True:
            if stop:
                raise StoppedError("Stopped between two trials.", by_user=stop.by_user)
            with self.database.errors(), ExitStack() as alone:
                alone.enter_context(self.database.alone())
                self._fail_lost()
                if self._queue_next(free):
                    waited = False
                    self._take(train, alone.close, note)
                    continue
                running = sum(trial.state == TrialState.RUNNING for trial in self._trials())
                others = running + len(self._open())
            if not others:
                return
            if not waited:
                note(f"waiting for {others} trials of other workers")
                waited = True
            _pause(min(self.heartbeat, LONGEST_PAUSE), stop)

    def close(self) -> None:
        self._storage.remove_session()
        self._storage.engine.dispose()
        self.database.close()

    def _trials(self) -> list[FrozenTrial]:
        return [t for t in self._study.get_trials(deepcopy=False) if "trial" in t.user_attrs]

    def _queue(
        self, trials: Iterable[Trial], still_here: Callable[[], None] = lambda: None
    ) -> None:
        """Those that are neither done, taken nor waiting."""
        live = {_name(trial) for trial in self._trials() if trial.state in LIVE}
        for trial in trials:
            if trial.name not in live:
                self._study.add_trial(
                    optuna.create_trial(
                        state=TrialState.WAITING, user_attrs={"trial": asdict(trial)}
                    )
                )
                still_here()

    def _fail_lost(self) -> None:
        """What was left by a worker that is no more is open again."""
        with _calm():
            optuna.storages.fail_stale_trials(self._study)
        for trial in self._trials():
            if trial.state != TrialState.RUNNING:
                continue
            # Without a worker's mark: it died while it held the lock that we hold now. Of those
            # we took: the database did not answer when we told its end, for we train nothing now.
            if lives(trial.user_attrs.get("worker")) is False or trial.number in self._taken:
                self._study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)

    def _open(self) -> list[Trial]:
        """Those that failed elsewhere, were stopped or lost, and that nobody has taken since."""
        trials = self._trials()
        passed = {_name(trial) for trial in trials if trial.state in LIVE} | self.failures.keys()
        known = {_name(trial): Trial(**trial.user_attrs["trial"]) for trial in trials}
        return [trial for name, trial in known.items() if name not in passed]

    def _queue_next(self, free: Callable[[Trial], bool]) -> bool:
        """Whether a trial can be taken; where none waits, an open one is queued again."""
        if any(trial.state == TrialState.WAITING for trial in self._trials()):
            return True
        found = next(filter(free, self._open()), None)
        self._queue([found] if found else [])
        return found is not None

    def _take(
        self,
        train: Callable[[Trial], Result],
        release: Callable[[], None],
        note: Callable[[str], None],
    ) -> None:
        """Train the next waiting trial; `release` lets other workers take theirs."""
        failed: list[tuple[str, BaseException]] = []

        def objective(taken: optuna.Trial) -> float:
            trial = Trial(**taken.user_attrs["trial"])
            self._taken.add(taken.number)
            try:
                self._storage.record_heartbeat(taken._trial_id)
                taken.set_user_attr("worker", this_worker())
                release()
                result = train(trial)
                for key, value in result.outcome().items():
                    taken.set_user_attr(key, value)
            except BaseException as error:
                failed.append((trial.name, error))
                if _is_of_the_trial(error):
                    taken.set_user_attr("failure", error.what)
                raise
            if result.val_accuracy is None:
                raise optuna.TrialPruned
            return result.val_accuracy

        try:
            with _calm():
                self._study.optimize(objective, n_trials=1)
        except Exception as error:  # noqa: BLE001 - raised again unless it is one of those below
            name, cause = failed[0] if failed else ("", error)
            if _is_of_the_trial(cause):
                _free_memory(cause)
                self.failures[name] = cause
                note(f"set aside: {name}: {cause}")
            elif _is_of_another_worker(cause):
                note("no sign of life came through for long: another worker took this trial over")
            elif not isinstance(cause, InUseError):
                raise cause from None


def _held(settings: Mapping[str, Any], key: str) -> Any:
    """In a study of an older version one recipe held for all optimizers of a network."""
    return settings.get(key, settings.get(key.rpartition("/")[0]))


def _is_of_the_trial(error: BaseException) -> TypeGuard[CnnregError]:
    """Whether others can be trained all the same."""
    others = (StoppedError, InUseError, DatabaseError)
    return isinstance(error, CnnregError) and not isinstance(error, others)


def _is_of_another_worker(error: BaseException) -> bool:
    """Whether Optuna says that another one failed the trial: no heartbeat got through."""
    return isinstance(error, UpdateFinishedTrialError) or _CANNOT_TELL in str(error)


def _free_memory(error: BaseException | None) -> None:
    """An error holds all that its functions held: a network, say, in the memory it ran out of."""
    while error is not None:
        clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _calm() -> warnings.catch_warnings[None]:
    """Without Optuna's warnings that the heartbeat is experimental."""
    return warnings.catch_warnings(action="ignore", category=ExperimentalWarning)


def _name(trial: FrozenTrial) -> str:
    return Trial(**trial.user_attrs["trial"]).name


def _result(trial: FrozenTrial) -> Result:
    held, of = trial.user_attrs, Trial(**trial.user_attrs["trial"])
    if trial.state not in DONE:
        return failed_result(of, held["failure"])
    names = Result.__dataclass_fields__.keys() - {"trial", "failure"}
    return Result(trial=of, **{name: held[name] for name in names})


def _pause(seconds: float, stop: StopRequest) -> None:
    for _ in range(round(seconds / 0.2)):
        if stop:
            return
        sleep(0.2)
