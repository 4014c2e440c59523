"""Which of a file's tensors a network takes, in the form and with the channels that fit best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from cnnreg import texts
from cnnreg.errors import CnnregError, ModelFileError
from cnnreg.networks.weightless import built_weightless, ran
from cnnreg.plugins import blaming
from cnnreg.specs import ArchitectureSpec, Form, ModelOptions, Renames, Shape
from cnnreg.training.groups import head_of
from cnnreg.training.saving.foreign import forms_of, named_as

from .reading import printable


@dataclass(frozen=True, slots=True)
class Misshapen:
    name: str
    found: tuple[int, ...]  # in the file
    wanted: tuple[int, ...]

    def __str__(self) -> str:
        return f"{printable(self.name)} {list(self.found)} for {list(self.wanted)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What became of each tensor of a file, by the network's names."""

    options: ModelOptions  # the network that was tried
    classes: int | None  # that the file's own head tells apart, if it has one
    tensors: Mapping[str, Tensor]
    taken: tuple[str, ...]
    missing: tuple[str, ...]
    idle: tuple[str, ...]  # missing too, but of parts that only training needs
    unused: tuple[str, ...]
    surplus: tuple[str, ...]  # of these, what a deeper network has in the parts of this one
    misshapen: tuple[Misshapen, ...]

    @property
    def whole(self) -> bool:
        return not (self.missing or self.misshapen or self.surplus)

    @property
    def share(self) -> float:
        """Of the tensors, those that were taken."""
        return len(self.taken) / self.total

    @property
    def total(self) -> int:
        """How many tensors the network's answers depend on."""
        return len(self.taken) + len(self.missing) + len(self.misshapen)

    def differences(self) -> str:
        """The first of each kind, in words; empty if there is none."""
        kinds = (
            ("of another shape", [str(item) for item in self.misshapen]),
            ("missing", self.missing),
            ("not used", self.unused),
        )
        return "; ".join(f"{len(items)} {kind} ({listed(items)})" for kind, items in kinds if items)


def listed(names: Iterable[str]) -> str:
    return texts.listed(printable(name, 120) for name in names)


def best_fit(
    architecture: ArchitectureSpec,
    tensors: Mapping[str, Tensor],
    *,
    shape: Shape,
    channels: Iterable[int],
    num_classes: int | None,
    form: Form | None = None,
) -> Fit:
    """In `form`; without it in the one that `shape` asks for, or the other, if that fits better.

    Of `channels` the first that fits is taken. Without `num_classes` the file's head
    decides on them.
    """
    fits = []
    for options in _candidates(architecture, shape, tuple(channels), form):
        fits.append(_fit(architecture, options, tensors, num_classes))
        if fits[-1].whole:
            break
    return max(fits, key=lambda fit: fit.share)


def fits_either_form(
    architecture: ArchitectureSpec,
    fit: Fit,
    tensors: Mapping[str, Tensor],
    num_classes: int | None,
) -> bool:
    """Whether the file does not tell the forms apart, as where they differ in strides alone."""
    if not (architecture.small_form and fit.whole):
        return False
    other: Form = "standard" if fit.options.form == "small" else "small"
    with suppress(CnnregError):  # it may take no such images
        found = _fit(architecture, replace(fit.options, form=other), tensors, num_classes)
        return found.whole and len(found.unused) <= len(fit.unused)
    return False


def resembles(architecture: ArchitectureSpec, tensors: Mapping[str, Tensor]) -> bool:
    """Whether most shapes are those of the network in its usual form: a look before a fit."""
    with blaming(f"Building '{architecture.name}'"):
        wanted = _shapes(architecture, architecture.options())
    ours, theirs = (
        Counter(tuple(shape) for shape in shapes if shape)  # counters have none
        for shapes in (wanted.values(), (tensor.shape for tensor in tensors.values()))
    )
    return (ours & theirs).total() > max(ours.total(), theirs.total()) / 2


def _candidates(
    architecture: ArchitectureSpec, shape: Shape, channels: tuple[int, ...], form: Form | None
) -> Iterator[ModelOptions]:
    for count in channels:
        usual = architecture.options(input_shape=(count, *shape[1:]), form=form)
        yield usual
        if architecture.small_form and form is None:
            yield replace(usual, form="standard" if usual.form == "small" else "small")


def _fit(
    architecture: ArchitectureSpec,
    options: ModelOptions,
    tensors: Mapping[str, Tensor],
    num_classes: int | None,
) -> Fit:
    with blaming(f"Building '{architecture.name}'"):
        wanted = _shapes(architecture, options)
        head = head_of(architecture, options)
    named = named_as(wanted, tensors, architecture.renames)
    classes = _classes_of(head, named)
    count = num_classes or classes or options.num_classes
    if count < 2:
        raise ModelFileError("The file's classifier has one output; two classes are needed.")
    if count != options.num_classes:
        options = replace(options, num_classes=count)
        with blaming(f"Building '{architecture.name}'"):
            wanted = _shapes(architecture, options)
    fitting = {name for name in wanted if name in named and named[name].shape == wanted[name]}
    # Counters of batches seen, which files of before 2018 lack and no result depends on.
    lacking = [n for n in wanted if n not in named and not n.endswith("batches_tracked")]
    idle = _idle(architecture, options) if lacking else frozenset[str]()
    taken = tuple(name for name in wanted if name in fitting)
    missing = tuple(name for name in lacking if name not in idle)
    unused = tuple(name for name in named if name not in wanted)
    return Fit(
        options=options,
        classes=classes,
        tensors=named,
        taken=taken,
        missing=missing,
        idle=tuple(name for name in lacking if name in idle),
        unused=unused,
        surplus=_surplus(unused, wanted, (*taken, *missing), architecture.renames),
        misshapen=tuple(
            Misshapen(name, tuple(named[name].shape), tuple(shape))
            for name, shape in wanted.items()
            if name in named and name not in fitting
        ),
    )


def _surplus(
    unused: Iterable[str], wanted: Iterable[str], needed: Iterable[str], renames: Renames
) -> tuple[str, ...]:
    """Unused ones inside a part that the network needs, whatever prefix stands before it.

    Whole parts that it lacks, heads for training alone say, change none of its answers;
    nor does a second copy of what it has, such as an average of the weights.
    """
    parts = {name.partition(".")[0] for name in needed}

    def deeper(name: str) -> bool:
        forms = set(forms_of(name, renames))
        return forms.isdisjoint(wanted) and any(form.partition(".")[0] in parts for form in forms)

    return tuple(name for name in unused if deeper(name))


def _shapes(architecture: ArchitectureSpec, options: ModelOptions) -> dict[str, torch.Size]:
    """Of all tensors of the network, which is built without memory for it."""
    state = built_weightless(lambda: architecture.build(options)).state_dict()
    return {name: tensor.shape for name, tensor in state.items()}


def _idle(architecture: ArchitectureSpec, options: ModelOptions) -> frozenset[str]:
    """Tensors that no answer depends on: those of heads for training alone.

    Of a module that neither runs nor has a gradient, each by itself proves too little.
    """
    model = built_weightless(lambda: architecture.build(options)).eval()
    with suppress(Exception):  # what cannot be told apart counts as needed
        return ran(model, (2, *options.input_shape), _without_use)
    return frozenset()


def _without_use(model: nn.Module, images: Tensor) -> frozenset[str]:
    running = set[str]()
    for name, module in model.named_modules():
        module.register_forward_pre_hook(lambda module, inputs, name=name: running.add(name))
    model(images).sum().backward()
    return frozenset(
        f"{name}.{tensor}" if name else tensor
        for name, module in model.named_modules()
        if name not in running and all(p.grad is None for p in module.parameters())
        for tensor in module.state_dict(keep_vars=True)
    )


def _classes_of(head: frozenset[str], tensors: Mapping[str, Tensor]) -> int | None:
    """The rows that most of the classifier's tensors have in the file."""
    rows = Counter(len(tensors[name]) for name in head if name in tensors and tensors[name].ndim)
    return rows.most_common(1)[0][0] if rows else None
