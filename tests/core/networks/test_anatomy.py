"""Counts equal hand calculations, and stage tables read like the papers'."""

import pytest
import torch
from torch import nn

from cnnreg import ArchitectureSpec
from cnnreg.networks.anatomy import Stage, count_macs, count_parameters, stages
from cnnreg.registry import Registry


def table(spec: ArchitectureSpec) -> list[Stage]:
    with torch.device("meta"):
        model = spec.build(spec.options())
    return stages(model, spec.input_shape)


def drawn(rows: list[Stage]) -> list[tuple[str, str, int, str]]:
    return [(row.name, row.layer, row.stride, row.size) for row in rows]


def test_counts_of_a_convolution_are_those_of_the_textbook() -> None:
    model = nn.Conv2d(3, 8, kernel_size=5, stride=2, padding=2)
    assert count_parameters(model) == 8 * (3 * 5 * 5 + 1)
    assert count_macs(model, (3, 32, 32)) == 16 * 16 * 8 * 3 * 5 * 5


def test_frozen_parameters_are_not_counted() -> None:
    model = nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 2))
    model[0].requires_grad_(False)
    assert count_parameters(model) == 6


def test_counting_leaves_the_model_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    stages(model, (1, 8, 8))
    assert model.training and model[0].weight.device.type == "cpu"
    assert not model[0]._forward_hooks and not model[0]._forward_pre_hooks
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_resnet50_reads_like_table_1_of_its_paper(registry: Registry) -> None:
    assert drawn(table(registry.architectures["resnet50"])) == [
        ("conv1", "Conv 7x7,64", 2, "64x112x112"),
        ("maxpool", "MaxPool 3x3", 2, "64x56x56"),
        ("layer1", "3 x Bottleneck 1x1,64 - 3x3,64 - 1x1,256", 1, "256x56x56"),
        ("layer2", "4 x Bottleneck 1x1,128 - 3x3,128 - 1x1,512", 2, "512x28x28"),
        ("layer3", "6 x Bottleneck 1x1,256 - 3x3,256 - 1x1,1024", 2, "1024x14x14"),
        ("layer4", "3 x Bottleneck 1x1,512 - 3x3,512 - 1x1,2048", 2, "2048x7x7"),
        ("avgpool", "Global average pool", 1, "2048x1x1"),
        ("fc", "Linear 1000", 1, "1000"),
    ]


def test_vgg_is_opened_up_between_its_pools(registry: Registry) -> None:
    rows = table(registry.architectures["vgg16_bn"])
    assert [row.layer for row in rows] == [
        "2 x Conv 3x3,64",
        "MaxPool 2x2",
        "2 x Conv 3x3,128",
        "MaxPool 2x2",
        "3 x Conv 3x3,256",
        "MaxPool 2x2",
        "3 x Conv 3x3,512",
        "MaxPool 2x2",
        "3 x Conv 3x3,512",
        "MaxPool 2x2",
        "Linear 4096",
        "Linear 4096",
        "Linear 1000",
    ]
    assert rows[0].name == "features.0-3" and rows[0].size == "64x224x224"


def test_densenet_shows_blocks_transitions_and_the_pool_that_is_no_module(
    registry: Registry,
) -> None:
    rows = table(registry.architectures["densenet121"])
    layers = [row.layer for row in rows]
    assert layers[2:4] == ["6 x DenseLayer 1x1,128 - 3x3,32", "Transition 1x1,128 - AvgPool 2x2"]
    assert [row.blocks for row in rows[2:9:2]] == [6, 12, 24, 16]
    assert layers[-2:] == ["Global pool", "Linear 1000"]


def test_branches_are_set_apart(registry: Registry) -> None:
    rows = {row.name: row for row in table(registry.architectures["googlenet"])}
    assert rows["inception3a"].layer == (
        "Inception 1x1,64 | 1x1,96 - 3x3,128 | 1x1,16 - 3x3,32 | MaxPool 3x3 - 1x1,32"
    )
    assert sum(name.startswith("inception") for name in rows) == 9


def test_a_head_for_training_only_is_told_apart(registry: Registry) -> None:
    rows = {row.name: row for row in table(registry.architectures["inception_v3"])}
    auxiliary = rows["AuxLogits"]
    assert auxiliary.layer.endswith("(training only)")
    assert (auxiliary.parameters, auxiliary.macs, auxiliary.output) == (3_326_696, 0, ())


def test_blocks_of_one_setting_form_one_row(registry: Registry) -> None:
    rows = table(registry.architectures["mobilenet_v2"])
    assert [row.blocks for row in rows[1:8]] == [1, 2, 3, 4, 3, 3, 1]  # n in table 2
    assert [row.stride for row in rows[1:8]] == [1, 2, 2, 2, 1, 2, 1]  # s
    assert rows[1].layer == "InvertedResidual dw3x3,32 - 1x1,16"


def test_a_pyramid_is_drawn_from_the_top_down(registry: Registry) -> None:
    rows = [row for row in table(registry.architectures["fpn_resnet18"]) if "fpn" in row.name]
    assert [row.size for row in rows[::2]] == ["256x7x7", "256x14x14", "256x28x28", "256x56x56"]


@pytest.mark.parametrize(
    "name",
    [
        "densenet121",
        "fpn_resnet18",
        "googlenet",
        "inception_v3",
        "mlp",
        "mobilenet_v2",
        "resnet56",
        "shufflenet_v1",
        "shufflenet_v2_x1_0",
        "simple_cnn",
        "vgg11",
        "wrn_16_4",
    ],
)
def test_rows_add_up_to_the_network(registry: Registry, name: str) -> None:
    spec = registry.architectures[name]
    rows = table(spec)
    assert sum(row.parameters for row in rows) == spec.parameters
    assert sum(row.macs for row in rows) == spec.macs


class Stranger(nn.Module):
    """What third parties do: a dict of layers, a layer used twice, bare parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(8))
        self.trunk = nn.ModuleDict({"first": nn.Conv2d(3, 8, 3, padding=1)})
        self.shared = nn.Conv2d(8, 8, 1)
        self.table = nn.Parameter(torch.zeros(5, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.trunk["first"](x) * self.scale.view(-1, 1, 1)
        x = self.shared(self.shared(x)).mean((2, 3))
        return nn.functional.linear(x, self.table)


def test_a_strangers_network_adds_up_too() -> None:
    model = Stranger()
    rows = stages(model, (3, 4, 4))
    assert drawn(rows) == [
        ("trunk.first", "Conv 3x3,8", 1, "8x4x4"),
        ("shared", "Conv 1x1,8", 1, "8x4x4"),
        ("Stranger", "outside of its layers", 1, ""),
    ]
    assert rows[1].macs == 2 * 16 * 64
    assert (rows[2].parameters, rows[2].macs) == (8 + 40, 40)
    assert sum(row.parameters for row in rows) == count_parameters(model)


def test_a_lone_layer_is_a_table_of_one_row() -> None:
    rows = stages(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), (3, 2, 2))
    assert drawn(rows) == [("1", "Linear 2", 1, "2")]
    assert drawn(stages(nn.Conv2d(3, 8, 3), (3, 8, 8))) == [("Conv2d", "Conv 3x3,8", 1, "8x6x6")]
