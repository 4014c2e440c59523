"""Named recipes: TOML files beside this one."""

from __future__ import annotations

from pathlib import Path

from cnnreg import RecipeSpec, hookimpl

FOLDER = Path(__file__).parent


def _spec(name: str, summary: str) -> RecipeSpec:
    return RecipeSpec(name=name, summary=summary, path=FOLDER / f"{name}.toml")


@hookimpl
def cnnreg_recipes() -> list[RecipeSpec]:
    return [
        _spec("fast", "much accuracy in minutes: one cycle of SGD, label smoothing, averaging"),
        _spec("digits", "MNIST and the like in a minute or two: one cycle of Adam, averaging"),
        _spec("thorough", "more accuracy in hours: a long cosine, CutMix, mixup, erasing"),
        _spec("finetune", "from weights that know something: the head first, the body gently"),
    ]
