"""Foreign tensors in our networks: the form, the head, what is refused, and torchvision's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision

from cnnreg.data import DataConfig
from cnnreg.errors import DataError, ModelFileError, UsageError
from cnnreg.importing import mismatch
from cnnreg.importing.contract import Wishes
from cnnreg.importing.importer import plan_import
from cnnreg.importing.mismatch import channels_of
from cnnreg.importing.reading import Weights
from cnnreg.networks.weightless import built_weightless
from cnnreg.planning import open_for

LARGE = ("vgg11_bn", "densenet121", "inception_v3")
TORCHVISION = (
    "resnet18",
    "mobilenet_v2",
    "googlenet",
    "shufflenet_v2_x1_0",
    *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE),
)


def weights(tensors) -> Weights:
    return Weights(Path("elsewhere.pt"), "0" * 64, tensors)


def made(registry, name: str, **options):
    """Tensors as the registry's network has them, built with these options."""
    spec = registry.architectures[name]
    state = built_weightless(lambda: spec.build(spec.options(**options))).state_dict()
    torch.manual_seed(5)
    return {name: torch.rand(tensor.shape).to(tensor.dtype) for name, tensor in state.items()}


def imported(registry, name, tensors, *, data=None, note=lambda text: None, **wishes):
    return plan_import(registry, name, weights(tensors), Wishes(**wishes), data=data, note=note)


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvisions_own_answers(registry, name):
    torch.manual_seed(1)
    skipped = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    theirs = torchvision.models.get_model(name, weights=None, num_classes=11, **skipped).eval()
    planned = imported(registry, name, theirs.state_dict())
    assert planned.config.contract.num_classes == 11
    assert planned.fit.whole
    assert all(name.startswith("aux") for name in planned.fit.unused)
    images = torch.randn(2, *planned.config.contract.input_shape)
    with torch.inference_mode():
        torch.testing.assert_close(planned.model(images), theirs(images), rtol=1e-5, atol=1e-6)


def test_the_contract_without_data(registry):
    said = []
    tensors = made(registry, "resnet20", num_classes=7, input_shape=(3, 32, 32))
    planned = imported(registry, "resnet20", tensors, resize="crop", note=said.append)
    contract = planned.config.contract
    assert contract.classes == tuple(f"class{number}" for number in range(7))
    assert contract.input_shape == registry.architectures["resnet20"].input_shape
    assert (contract.mean, contract.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert (contract.resize, contract.dataset, contract.dropout) == ("crop", "", None)
    assert planned.config.imported["file"] == "elsewhere.pt"
    assert ["--classes" in text for text in said] == [True, False]
    assert "mean 0.485, 0.456, 0.406 and std 0.229, 0.224, 0.225 are ImageNet's" in said[1]


def test_a_file_gets_its_images_at_the_scale_of_the_published_weights(registry):
    said = []
    tensors = made(registry, "googlenet", num_classes=7)
    planned = imported(registry, "googlenet", tensors, note=said.append)
    assert (planned.config.contract.mean, planned.config.contract.std) == ((0.5,) * 3,) * 2
    assert "0.5, 0.5, 0.5 are those of the network's published weights" in said[-1]
    grey = made(registry, "googlenet", num_classes=7, input_shape=(1, 224, 224))
    assert imported(registry, "googlenet", grey).config.contract.std == (0.5,)


@pytest.mark.parametrize("given, assumed", [("mean", "std"), ("std", "mean")])
def test_a_scale_that_was_not_given_is_told(registry, given, assumed):
    said = []
    imported(
        registry, "resnet18", made(registry, "resnet18"), note=said.append, **{given: (0.5,) * 3}
    )
    (told,) = [text for text in said if "ImageNet's" in text]
    assert told.startswith(f"{assumed} 0.")
    assert told.endswith(f"is ImageNet's: --{assumed} names that of its training")


def test_what_is_said_of_the_weights_counts(registry):
    tensors = made(registry, "resnet20", num_classes=2, input_shape=(3, 32, 32))
    contract = imported(
        registry,
        "resnet20",
        tensors,
        classes=("cat", "dog"),
        image_size=48,
        mean=(0.5,),
        std=(1, 2, 3),
    ).config.contract
    assert (contract.classes, contract.input_shape) == (("cat", "dog"), (3, 48, 48))
    assert (contract.mean, contract.std) == ((0.5, 0.5, 0.5), (1, 2, 3))


def test_grey_weights_are_told_by_their_shape(registry):
    tensors = made(registry, "resnet18", num_classes=4, input_shape=(1, 224, 224))
    contract = imported(registry, "resnet18", tensors).config.contract
    assert (contract.input_shape, contract.mean) == ((1, 224, 224), (0.449,))


@pytest.mark.parametrize(
    ("name", "made_at", "asked", "form"),
    [
        ("resnet18", 224, 32, "standard"),
        ("resnet18", 32, 224, "small"),
        ("vgg11", 32, 224, "small"),
    ],
)
def test_the_form_that_fits_is_taken_and_told(registry, name, made_at, asked, form):
    said = []
    tensors = made(registry, name, num_classes=4, input_shape=(3, made_at, made_at))
    planned = imported(registry, name, tensors, image_size=asked, note=said.append)
    assert planned.config.contract.form == form
    assert any(f"fits the {form} form alone" in text for text in said)


def test_a_file_that_fits_both_forms_is_said_to(registry):
    """They differ in strides, which no tensor tells."""
    said = []
    tensors = made(registry, "mobilenet_v2", num_classes=4, input_shape=(3, 32, 32))
    of = imported(registry, "mobilenet_v2", tensors, image_size=32, note=said.append)
    assert of.config.contract.form == "small"
    assert any("fits both forms; taken for the small one" in text for text in said)
    said.clear()
    imported(registry, "mobilenet_v2", tensors, image_size=32, form="small", note=said.append)
    assert not any("both forms" in text for text in said)


def test_a_form_that_cannot_take_the_images(registry):
    tensors = made(registry, "densenet121", num_classes=4)
    with pytest.raises(UsageError, match="standard form, which takes no images of 16x16"):
        imported(registry, "densenet121", tensors, image_size=16)
    with pytest.raises(UsageError, match="Image size 7 is too small"):
        imported(registry, "densenet121", tensors, image_size=7)


def test_the_data_says_the_rest(registry):
    config = DataConfig(name="digits")
    dataset = open_for(registry, "mlp", config)
    shape = dataset.image_shape
    tensors = made(registry, "mlp", num_classes=10, input_shape=shape)
    config = imported(registry, "mlp", tensors, data=(config, dataset)).config
    assert config.data_fingerprint == dataset.fingerprint
    assert config.contract.classes == dataset.classes
    assert (config.contract.mean, config.contract.dataset) == (dataset.mean, "digits")
    backwards = dataset.classes[::-1]
    config = imported(
        registry, "mlp", tensors, data=(DataConfig(name="digits"), dataset), classes=backwards
    ).config
    assert config.contract.classes == backwards
    assert config.data_fingerprint == dataset.in_order(backwards).fingerprint
    with pytest.raises(DataError, match="10 other classes"):
        imported(
            registry, "mlp", tensors, data=(DataConfig(name="digits"), dataset), classes=("a", "b")
        )


def test_another_network_is_refused(registry):
    tensors = made(registry, "resnet20", num_classes=4)
    said = r"does not fit 'vgg11'.*missing \(.*It fits --arch resnet20\."
    with pytest.raises(ModelFileError, match=said):
        imported(registry, "vgg11", tensors)
    strange = {name: tensor for name, tensor in tensors.items() if "layer2" not in name}
    with pytest.raises(ModelFileError, match=r"Is it a file of 'vgg11'\?"):
        imported(registry, "vgg11", strange)
    with pytest.raises(ModelFileError, match=r"weights are \d+ % of 'vgg11'"):
        imported(registry, "vgg11", tensors, partial=True, classes=("a", "b"))


def test_networks_of_the_files_size_are_tried_first(registry, monkeypatch):
    asked = []
    monkeypatch.setattr(mismatch, "resembles", lambda spec, tensors: asked.append(spec.name))
    with pytest.raises(ModelFileError):
        imported(registry, "vgg11", made(registry, "resnet20", num_classes=4))
    assert asked[0] == "resnet20"
    assert len(asked) == len(registry.architectures) - 1


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module.", "backbone."])
def test_a_deeper_network_is_no_shallower_one(registry, prefix):
    deeper = made(registry, "resnet32", num_classes=10, input_shape=(3, 32, 32))
    named = {f"{prefix}{name}": tensor for name, tensor in deeper.items()}
    with pytest.raises(ModelFileError, match="not used.*It fits --arch resnet32"):
        imported(registry, "resnet20", named)


def test_an_average_beside_the_weights_is_no_deeper_network(registry):
    tensors = made(registry, "resnet20", num_classes=10, input_shape=(3, 32, 32))
    average = {f"module.{name}": tensor + 1 for name, tensor in tensors.items()}
    fit = imported(
        registry, "resnet20", {**tensors, **average, "module.aux.fc": tensors["fc.bias"]}
    ).fit
    assert fit.whole
    assert set(fit.unused) == {*average, "module.aux.fc"}
    assert torch.equal(fit.tensors["fc.bias"], tensors["fc.bias"])


def test_a_form_that_is_asked_for_is_the_only_one_tried(registry):
    said = []
    tensors = made(registry, "resnet18", num_classes=4, input_shape=(3, 32, 32))
    planned = imported(registry, "resnet18", tensors, form="small", note=said.append)
    assert planned.config.contract.form == "small"
    assert not any("form" in text for text in said)
    with pytest.raises(ModelFileError, match="of another shape"):
        imported(registry, "resnet18", tensors, form="standard")


def test_heads_for_training_alone_are_not_needed(registry):
    said = []
    tensors = made(registry, "inception_v3", num_classes=4)
    without = {key: tensor for key, tensor in tensors.items() if not key.startswith("AuxLogits.")}
    planned = imported(registry, "inception_v3", without, note=said.append)
    assert set(planned.fit.idle) == {
        key for key in tensors.keys() - without.keys() if not key.endswith("batches_tracked")
    }
    assert planned.fit.idle
    assert any("needed for training alone: AuxLogits" in text for text in said)


@pytest.mark.parametrize("channels", [1, 3])
def test_data_is_opened_in_the_colours_of_the_file(registry, channels):
    tensors = made(registry, "resnet20", num_classes=10, input_shape=(channels, 32, 32))
    found = channels_of(registry, "resnet20", weights(tensors), None)
    assert found == channels
    config = DataConfig(name="digits")
    dataset = open_for(registry, "resnet20", config, channels=found)
    contract = imported(registry, "resnet20", tensors, data=(config, dataset)).config.contract
    assert contract.input_shape == dataset.image_shape
    assert dataset.image_shape[0] == channels == len(contract.mean)


def test_another_number_of_classes_is_refused_or_left_out(registry):
    tensors = made(registry, "resnet20", num_classes=4)
    names = ("a", "b", "c")
    said = r"fc.weight \[4, 64\] for \[3, 64\].*head is for 4 classes, not the 3 .*; --partial"
    with pytest.raises(ModelFileError, match=said):
        imported(registry, "resnet20", tensors, classes=names)
    said = []
    planned = imported(registry, "resnet20", tensors, classes=names, partial=True, note=said.append)
    assert ["untrained" in text for text in said] == [True, False]
    assert [item.name for item in planned.fit.misshapen] == ["fc.weight", "fc.bias"]
    assert planned.model.fc.weight.shape == (3, 64)
    assert torch.equal(planned.model.conv1.weight, tensors["conv1.weight"])
    again = imported(registry, "resnet20", tensors, classes=names, partial=True)
    assert torch.equal(planned.model.fc.weight, again.model.fc.weight)


def test_a_file_without_a_head(registry):
    tensors = made(registry, "resnet20", num_classes=4)
    body = {name: tensor for name, tensor in tensors.items() if not name.startswith("fc.")}
    with pytest.raises(ModelFileError, match=r"2 missing \(fc.weight, fc.bias\)"):
        imported(registry, "resnet20", body)
    with pytest.raises(ModelFileError, match="number of classes is not known"):
        imported(registry, "resnet20", body, partial=True)
    planned = imported(registry, "resnet20", body, partial=True, classes=("a", "b"))
    assert planned.fit.missing == ("fc.weight", "fc.bias")


def test_old_files_lack_counters(registry):
    tensors = made(registry, "resnet20", num_classes=4)
    old = {name: t for name, t in tensors.items() if not name.endswith("num_batches_tracked")}
    assert len(old) < len(tensors)
    assert imported(registry, "resnet20", old).fit.whole


def test_numbers_become_the_networks_own_kind(registry):
    tensors = made(registry, "mlp", num_classes=4)
    half = {name: tensor.half() for name, tensor in tensors.items()}
    state = imported(registry, "mlp", half).model.state_dict()
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}
    assert all(torch.equal(state[name], tensor.float()) for name, tensor in half.items())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_number_is_refused(registry, value):
    tensors = made(registry, "resnet20", num_classes=4)
    tensors["layer2.0.conv1.weight"][0, 0, 0, 0] = value
    with pytest.raises(ModelFileError, match=r"NaN or infinity in 'layer2.0.conv1.weight'"):
        imported(registry, "resnet20", tensors)


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"mean": (0.5, 0.5)}, "--mean has 2 numbers; the images have 3"),
        ({"std": (0.0,)}, "std must be above 0"),
    ],
)
def test_moments_that_make_no_sense(registry, wishes, said):
    tensors = made(registry, "resnet20", num_classes=4)
    with pytest.raises(UsageError, match=said):
        imported(registry, "resnet20", tensors, **wishes)
