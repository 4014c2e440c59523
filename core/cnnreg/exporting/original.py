"""What every export is compared with: a trained run and its answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cnnreg.data.config import FOLDER, SPLIT
from cnnreg.models import FINGERPRINT, SPLIT_KEY, checkpoint_of
from cnnreg.plugins import blaming
from cnnreg.registry import Registry
from cnnreg.runs import Run
from cnnreg.specs import ModelFile

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cnnreg.data import Dataset
    from cnnreg.specs import ArchitectureSpec, Labels, Logits, ModelContract, Pixels
    from cnnreg.training.saving.checkpoint import Checkpoint

CALIBRATION_IMAGES = 300
VERIFICATION_IMAGES = 1000
LEAST_IMAGES = 256
MOST_IMAGES = 5000  # where a thousand leave open whether an accuracy keeps to its budget


@dataclass(frozen=True)
class Original:
    """A trained run with its answers on the images that every export is compared on.

    The checkpoint is read once: a run that goes on training meanwhile changes nothing here.
    """

    run: Run
    model: ModelFile
    architecture: ArchitectureSpec
    checkpoint: Checkpoint
    images: Pixels  # of the validation split, then of the training split if those are few
    labels: Labels  # of the former
    others: Labels  # of the latter
    calibration: Pixels
    logits: Logits
    dataset: Dataset
    kept: dict[str, Any] = field(default_factory=dict)  # what exporters make once for all files

    @property
    def split(self) -> dict[str, Any]:
        """What decides which images the run held out, to be told by every export.

        And what they come to: where images were added, seed and shares alone split otherwise.
        """
        config = self.run.config
        shares = {name: getattr(config.data, name) for name in SPLIT}
        return {**shares, FINGERPRINT: config.data_fingerprint}

    @property
    def source(self) -> dict[str, Any]:
        """What every export tells of where it comes from."""
        return {
            "run": self.run.name,
            "run_created": self.run.config.created,
            "checkpoint_sha256": self.checkpoint.digest,
            "data": self.data_label,
            SPLIT_KEY: self.split,
        }

    @property
    def data_label(self) -> str:
        """What its images are called: the data set, or the folder; empty if imported without."""
        data = self.run.config.data
        return data.label if data.name == FOLDER else self.model.contract.dataset

    def build(self, weights: dict[str, Tensor] | None = None) -> nn.Module:
        """The network with the checkpoint's or other weights, new each time: it may be changed."""
        from cnnreg.training.saving.checkpoint import model_of

        checkpoint = replace(self.checkpoint, model=weights or self.checkpoint.model)
        return model_of(checkpoint, self.architecture, self.model.path)

    @cached_property
    def with_more_images(self) -> Original:
        """The same compared on up to five times as many images, if there are more."""
        if len(self.dataset.val.samples) <= VERIFICATION_IMAGES:
            return self
        val = self.dataset.val.take(MOST_IMAGES, seed=0)
        logits = _answers(self.build(), val.pixels, self.model.contract)
        return replace(self, images=val.pixels, labels=val.labels, logits=logits)

    @cached_property
    def cost(self) -> tuple[int, int]:
        """Parameters, and the multiply-accumulates of one image."""
        from cnnreg.networks.anatomy import count_macs, count_parameters

        network = self.build()
        return count_parameters(network), count_macs(network, self.model.contract.input_shape)


def load_original(
    registry: Registry,
    run: Run,
    dataset: Dataset,
    note: Callable[[str], None] = lambda text: None,
) -> Original:
    """The run's best checkpoint, run over its validation images (a seeded sample if many).

    Where there are few, training images make up the number that is compared. `note` is told
    which of the validation images cannot be read.
    """
    import numpy as np

    from cnnreg.training.saving.checkpoint import model_of, read_checkpoint

    model = checkpoint_of(registry, run)
    architecture = registry.architecture_of(model.contract)
    checkpoint = read_checkpoint(model.path)
    network = model_of(checkpoint, architecture, model.path)
    val = dataset.val.take(VERIFICATION_IMAGES, seed=0)
    for remark in val.remarks():
        note(remark)
    images, others = val.pixels, val.labels[:0]
    if (few := LEAST_IMAGES - len(images)) > 0:
        # Others than int8 is calibrated on, which would show less of what it costs.
        more = dataset.train.take(few, seed=0, after=CALIBRATION_IMAGES)
        images, others = np.concatenate([images, more.pixels]), more.labels
    return Original(
        run=run,
        model=model,
        architecture=architecture,
        checkpoint=checkpoint,
        images=images,
        labels=val.labels,
        others=others,
        calibration=dataset.train.take(CALIBRATION_IMAGES, seed=0).pixels,
        logits=_answers(network, images, model.contract),
        dataset=dataset,
    )


def _answers(network: nn.Module, images: Pixels, contract: ModelContract) -> Logits:
    from cnnreg.networks.inference import logits_of_model

    with blaming(f"'{contract.architecture}' on images"):
        return logits_of_model(network, images, contract)
