"""Training the trials of a comparison, as a person sees it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cnnreg.comparing.folder import run_folder
from cnnreg.data import expanded
from cnnreg.errors import CnnregError, MachineError, StoppedError
from cnnreg.files import in_use
from cnnreg.registry import Registry
from cnnreg.texts import percent

from .boundary import as_known, reader_has_gone
from .common import console, human_time, say
from .following import note_data
from .progress import TrainingProgress

if TYPE_CHECKING:
    from cnnreg.comparing.plan import Plan, Trial
    from cnnreg.comparing.results import Result
    from cnnreg.comparing.study import Study
    from cnnreg.comparing.work import DataSets


class Worker:
    """Trains trials of a study one after the other, and says how it goes."""

    def __init__(
        self,
        registry: Registry,
        study: Study,
        data_sets: DataSets,
        folder: Path,
        device: str,
        planned: Plan | None,
        data_dir: Path | None,
    ) -> None:
        self._registry = registry
        self._study = study
        self._data_sets = data_sets
        self._folder = folder
        self._device = device
        self._planned = planned
        self._downloads = expanded(data_dir).absolute() if data_dir else None
        self._out = console(stderr=True)
        self._reported: set[str] = set()

    def work(self, again: str, *, shared: bool) -> None:
        """`again`: what to type to go on, once it has been stopped."""
        from cnnreg.training.stopping import StopRequest

        with StopRequest() as stop:
            try:
                self._study.work(self._train, stop=stop, free=self._free, note=say)
            except StoppedError as stopped:
                stopped.hint = f"Go on with: {again}"
                if shared:
                    stopped.hint += "; other workers go on meanwhile"
                raise

    def _free(self, trial: Trial) -> bool:
        return not in_use(run_folder(self._folder, trial))

    def _train(self, trial: Trial) -> Result:
        try:
            return self._trained(trial)
        except CnnregError:
            raise
        except Exception as error:  # a plugin's network may raise anything
            if reader_has_gone(error):  # of this command's output: no failure of the trial
                raise
            raise as_known(error) from error

    def _trained(self, trial: Trial) -> Result:
        from cnnreg.comparing.plan import recipe_from_fixed
        from cnnreg.comparing.work import check_data, config_from_description, open_trial
        from cnnreg.comparing.work import train_trial as train

        described = self._study.setting(f"data/{trial.data}")
        recipe = recipe_from_fixed(
            self._study.setting(f"recipe/{trial.architecture}/{trial.optimizer}")
        )
        known = self._planned.data.get(trial.data) if self._planned else None
        config = known or config_from_description(described, self._downloads)
        dataset = self._data_sets.open(trial.architecture, config)
        check_data(trial.data, dataset, described["fingerprint"])
        run = open_trial(
            self._registry,
            trial,
            recipe,
            config=config,
            dataset=dataset,
            folder=run_folder(self._folder, trial),
        )
        with TrainingProgress(self._out, run, len(dataset.train)) as bar:
            result = train(
                self._registry, trial, run, dataset, device=self._device, on_step=bar.step, note=say
            )
        if trial.data not in self._reported:
            self._reported.add(trial.data)
            note_data(dataset)
        self._say(result)
        return result

    def _say(self, result: Result) -> None:
        try:
            done, count = self._study.count()
        except MachineError:  # a database that does not answer makes no training a failed one
            return
        trial = result.trial
        came = (
            "[red]diverged[/]"
            if result.diverged
            else f"validation {percent(result.val_accuracy)}, test {percent(result.test_accuracy)}"
        )
        self._out.print(
            f"[dim]{done + 1:>{len(str(count))}}/{count}[/] {trial.architecture} on {trial.data}, "
            f"{trial.optimizer} {trial.learning_rate:g}, seed {trial.seed}: {came}, "
            f"{result.epochs} epochs, {human_time(result.seconds)}"
        )
