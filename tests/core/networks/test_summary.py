"""A network on one page."""

from __future__ import annotations

from cnnreg.networks.anatomy import Stage
from cnnreg.networks.summary import Summary, as_text


def test_the_page_has_a_line_for_each_stage_with_its_figures_to_the_right():
    stage = Stage(
        name="stem", layer="Conv2d", kernel="3x3", stride=2, blocks=1, output=(8, 4, 4),
        parameters=1234, macs=56,
    )  # fmt: skip
    text = as_text(
        Summary(
            architecture="net",
            plugin="ours 1",
            form="small",
            input_shape=(3, 8, 8),
            num_classes=2,
            parameters=1234,
            macs=56,
            stages=(stage,),
        )
    )
    assert text.splitlines() == [
        "net (ours 1), small form, input 3x8x8, 2 classes",
        "",
        "stage  layer   kernel  stride  blocks  output  parameters  MACs",
        "---------------------------------------------------------------",
        "stem   Conv2d  3x3          2       1   8x4x4       1,234    56",
        "---------------------------------------------------------------",
        "total                                               1,234    56",
    ]
