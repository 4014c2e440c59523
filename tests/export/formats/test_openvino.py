from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cnnreg import ModelContract, ModelFile, ModelFileError
from cnnreg.registry import Registry
from cnnreg.specs import Interface, Precision
from cnnreg_export.formats.openvino.model_info import model_info
from cnnreg_export.runtimes.openvino.session import ov, read_model

Exported = Callable[..., ModelFile]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_two_files_with_named_float_input_and_output(
    exported: Exported, precision: Precision
) -> None:
    path = exported("openvino", precision).path
    assert sorted(file.name for file in path.parent.iterdir()) == ["model.bin", "model.xml"]
    model = read_model(path)
    images, logits = model.input(), model.output()
    assert (images.any_name, str(images.partial_shape)) == ("images", "[?,3,16,24]")
    assert (logits.any_name, str(logits.partial_shape)) == ("logits", "[?,4]")
    assert images.element_type == logits.element_type == ov.Type.f32
    assert images.get_node().get_layout() == ov.Layout("NCHW")


def test_weights_have_the_precision_that_was_asked_for(exported: Exported) -> None:
    assert _float_constants(exported("openvino", "fp32")) == {"f32"}
    assert _float_constants(exported("openvino", "fp16")) == {"f16"}


def test_weights_of_another_model_are_noticed_where_no_manifest_is(
    registry: Registry, exported: Exported, tmp_path: Path
) -> None:
    """The same network in the same precision: what differs are numbers alone."""
    model = exported("openvino", "fp32")
    for name in ("model.xml", "model.bin"):
        shutil.copy(model.path.with_name(name), tmp_path)
    metadata = registry.runtimes["openvino"].metadata
    assert metadata
    assert "weights_sha256" not in metadata(tmp_path / "model.xml")
    weights = bytearray((tmp_path / "model.bin").read_bytes())
    weights[100] ^= 1
    (tmp_path / "model.bin").write_bytes(weights)
    with pytest.raises(ModelFileError, match="not the weights that were written with"):
        metadata(tmp_path / "model.xml")


def test_int8_quantises_every_convolution(exported: Exported) -> None:
    operators = _operators(exported("openvino", "int8"))
    kinds = Counter(node.get_type_name() for node in operators)
    assert kinds["FakeQuantize"] >= kinds["Convolution"] + kinds["GroupConvolution"] == 3
    assert any(node.get_element_type() == ov.Type.i8 for node in operators)


def test_model_info_is_what_the_model_api_reads(
    exported: Exported, contract: ModelContract
) -> None:
    model = read_model(exported("openvino", "fp32").path)
    stored = {
        key: model.get_rt_info(["model_info", key]).astype(str) for key in model_info(contract)
    }
    assert stored == {
        "model_type": "Classification",
        "labels": 'cat Grüner_Baum 犬 quo"te',
        "mean_values": "127.5 102 76.5",
        "scale_values": "51 63.75 76.5",
        "resize_type": "fit_to_window_letterbox",
        "pad_value": "128",
        "reverse_input_channels": "True",
    }


def test_grey_images_have_no_channels_to_reverse(contract: ModelContract) -> None:
    grey = replace(contract, input_shape=(1, 8, 8), mean=(0.5,), std=(0.5,), resize="squash")
    assert model_info(grey)["reverse_input_channels"] == "False"
    assert model_info(grey)["resize_type"] == "standard"


def test_what_a_self_contained_file_leaves_to_do_is_told(contract: ModelContract) -> None:
    whole = model_info(contract, Interface(embed=True))
    assert whole.keys() == {"model_type", "labels", "reverse_input_channels"}
    of_one_size = model_info(contract, Interface(embed=True, fixed=True))
    assert of_one_size == {
        **whole, "resize_type": "fit_to_window_letterbox", "pad_value": "128",
    }  # fmt: skip


def test_labels_are_as_many_as_classes(contract: ModelContract) -> None:
    named = replace(contract, classes=("柴\u3000犬", "a\u00a0b", "c\td", "e f"))
    assert len(model_info(named)["labels"].split()) == 4


def _operators(model: ModelFile) -> list[Any]:
    return list(read_model(model.path).get_ordered_ops())


def _float_constants(model: ModelFile) -> set[str]:
    types = (
        node.get_element_type().get_type_name()
        for node in _operators(model)
        if node.get_type_name() == "Constant" and len(node.get_data().shape) == 4
    )
    return {name for name in types if name.startswith("f")}
