"""Precision, memory layout and compilation, chosen by measuring a few real steps.

Which is fastest differs from network to network and from processor to processor:
bfloat16 can triple the speed of one network and halve another's. The choice is
remembered for each machine and model. Measuring works on copies of the network and
leaves the random streams alone, so a run is the same as with the settings given.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import replace
from statistics import median
from time import perf_counter

import torch
from torch import nn

from cnnreg.errors import StoppedError, is_out_of_memory
from cnnreg.recipe import MEASURED, Recipe
from cnnreg.specs import ModelContract
from cnnreg.training.building import memory_format
from cnnreg.training.distributed.world import ALONE
from cnnreg.training.feeding.batches import Batch, TrainingBatches
from cnnreg.training.loop import stopped
from cnnreg.training.saving.state import streams_kept
from cnnreg.training.step import Step, Trainee
from cnnreg.training.stopping import StopRequest

from .choice import Choice, key_of, recall, remember

SHORT = 30.0  # seconds: a training that is over by then is not worth a measurement
LONG = 1800.0  # seconds: only a longer one can win back the minutes that compiling takes
ROUNDS = 9  # at most, over all candidates
BUDGET = 2.5  # seconds for each candidate
STEP_SECONDS = 0.4  # a step for measuring is made of as many images as take this long

# How much faster it must be to be chosen: exactness, then simplicity, win a near draw.
GAIN = {"bf16": 1.10, "contiguous": 1.03, "compiled": 1.10}

Make = Callable[[Recipe], TrainingBatches]


def settle(
    model: nn.Module,
    recipe: Recipe,
    batches: Make,
    *,
    aux_weight: float,
    contract: ModelContract,
    device: torch.device,
    processes: int = 1,
    stop: StopRequest,
    note: Callable[[str], None] = lambda text: None,
) -> Recipe:
    """`recipe` with each `auto` of precision, layout and compile replaced by the best one here.

    One of `processes`, which share a batch, measures for all. It ends as soon as `stop` is
    asked, with nothing measured.
    """
    if all(getattr(recipe, name) != "auto" for name in MEASURED):
        return recipe
    probe = _Probe(
        model,
        recipe,
        batches,
        aux_weight=aux_weight,
        device=device,
        processes=processes,
        stop=stop,
    )
    try:
        with streams_kept():
            images = len(batches(recipe.plain()).labels)
            seconds = recipe.epochs * images / (processes * probe.size_up())
            if seconds < SHORT:
                return recipe.plain()
            long = recipe.compile == "auto" and seconds > LONG
            key = key_of(recipe, contract, device, processes, long=long)
            if remembered := recall(key):
                note(f"settings as measured before: {remembered}")
                return remembered.applied_to(recipe)
            choice = probe.choose(worth_compiling=long, note=note)
    except StoppedError:
        return recipe.plain()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        note("too little memory to measure what is fastest here")
        return recipe.plain()
    note(f"measured what is fastest here: {choice}")
    remember(key, choice)
    return choice.applied_to(recipe)


class _Probe:
    """Times real steps of copies of `model` on real batches."""

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        batches: Make,
        *,
        aux_weight: float,
        device: torch.device,
        processes: int,
        stop: StopRequest,
    ) -> None:
        self.model = model
        self.recipe = replace(recipe, accumulate=1)
        self.batches = batches
        self.aux_weight = aux_weight
        self.device = device
        self.stop = stop
        # No more than training works through at once, and has memory for.
        self.images = max(2, recipe.batch_size // (recipe.accumulate * processes))

    def size_up(self) -> float:
        """Images per second as a recipe without measurements trains; sets the probe's batch.

        First of few images, then of as many as that allows: a GPU takes as long for either.
        """
        few = min(8, self.images)
        rate = self._plain_rate(few)
        self.images = max(2, min(self.images, int(rate * STEP_SECONDS)))
        return self._plain_rate(self.images) if self.images > few else rate

    def _plain_rate(self, images: int) -> float:
        # Uncompiled: to compile takes minutes, and a compiler that may not be there.
        plain = replace(self.recipe.plain(), batch_size=images, compile="off")
        step, batch = self._candidate(plain)
        self._seconds(step, batch)
        return len(batch.labels) / self._seconds(step, batch)

    def choose(self, *, worth_compiling: bool, note: Callable[[str], None]) -> Choice:
        recipes = {_name(recipe): recipe for recipe in self._options()}
        rates = self._rates(recipes)
        best = _best(recipes, rates)
        wanted = self.recipe.compile
        if wanted == "auto" and worth_compiling:
            note("trying torch.compile, which takes a minute or two the first time")
            try:
                compiled = replace(recipes[best], compile="on")
                pair = {best: recipes[best], f"{best} compiled": compiled}
                rates |= self._rates(pair)
                if rates.get(f"{best} compiled", 0.0) > GAIN["compiled"] * rates[best]:
                    wanted = "on"
            except Exception:  # noqa: BLE001 - too little memory to compile in, say
                self._refuse_to_go_on()
        chosen = recipes[best]
        return Choice(chosen.precision, chosen.layout, "on" if wanted == "on" else "off", rates)

    def _options(self) -> Iterable[Recipe]:
        plain = self.recipe.plain()
        both = ("fp32", "bf16") if has_bf16(self.device) else ("fp32",)
        precisions = both if self.recipe.precision == "auto" else (plain.precision,)
        layouts = (
            ("channels-last", "contiguous") if self.recipe.layout == "auto" else (plain.layout,)
        )
        for precision in precisions:
            for layout in layouts:
                yield replace(plain, precision=precision, layout=layout, compile="off")

    def _rates(self, recipes: dict[str, Recipe]) -> dict[str, float]:
        """Images per second of each that works here, from rounds in which all take turns."""
        candidates = self._working(recipes)
        times: dict[str, list[float]] = {name: [] for name in candidates}
        end = perf_counter() + BUDGET * len(candidates)
        for turn in range(ROUNDS):
            if turn >= 3 and perf_counter() > end:
                break
            for name, (step, batch) in candidates.items():
                times[name].append(self._seconds(step, batch))
        return {
            name: round(len(batch.labels) / median(times[name]), 1)
            for name, (_, batch) in candidates.items()
        }

    def _working(self, recipes: dict[str, Recipe]) -> dict[str, tuple[Step, Batch]]:
        """All that take a step, warm by then. Raises what the last one did if none does."""
        working = dict[str, tuple[Step, Batch]]()
        *_, last = recipes
        for name, recipe in recipes.items():
            try:
                working[name] = self._warm(replace(recipe, batch_size=self.images))
            except StoppedError:
                raise
            except Exception as error:
                # An operation that has no form in bfloat16, say, is no reason not to train.
                if is_out_of_memory(error) or (name == last and not working):
                    raise
        return working

    def _warm(self, recipe: Recipe) -> tuple[Step, Batch]:
        """A candidate with its first steps behind it, and the compilation."""
        step, batch = self._candidate(recipe)
        for _ in range(2):
            self._seconds(step, batch)
        return step, batch

    def _candidate(self, recipe: Recipe) -> tuple[Step, Batch]:
        model = copy.deepcopy(self.model).train()
        model.to(self.device, memory_format=memory_format(recipe))  # type: ignore[call-overload]
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        batch = next(iter(self.batches(recipe).epoch(0)))
        step = Step(
            Trainee(model, optimizer),
            recipe,
            device=self.device,
            world=ALONE,
            input_shape=tuple(batch.images.shape[1:]),
            aux_weight=self.aux_weight,
        )
        return step, batch

    def _seconds(self, step: Step, batch: Batch) -> float:
        self._refuse_to_go_on()
        started = perf_counter()
        step(batch, 0.0)
        return perf_counter() - started

    def _refuse_to_go_on(self) -> None:
        """Raises StoppedError once `stop` is asked."""
        if self.stop:
            raise stopped("while measuring", self.stop)


def has_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is computed by the hardware; emulated it is slow and never right."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    can = torch.cpu.get_capabilities()
    if can.get("architecture") != "x86_64":
        return True  # measured then: there is no flag to ask on every ARM
    return bool(can.get("avx512_bf16") or can.get("amx_bf16"))


def _best(recipes: dict[str, Recipe], rates: dict[str, float]) -> str:
    """The fastest, after each but the plainest is marked down by the gain it must bring."""

    def score(name: str) -> float:
        recipe, rate = recipes[name], rates[name]
        return rate / GAIN.get(recipe.precision, 1.0) / GAIN.get(recipe.layout, 1.0)

    return max(rates, key=score)


def _name(recipe: Recipe) -> str:
    return recipe.precision + (" contiguous" if recipe.layout == "contiguous" else "")
