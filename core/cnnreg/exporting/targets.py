"""What to export for a processor and for a GPU, so that nobody needs to know it by heart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from cnnreg.machine.devices import Facts, kind_of
from cnnreg.machine.environment import has_vnni
from cnnreg.specs import Precision

Target = Literal["cpu", "igpu", "auto"]
TARGETS = get_args(Target)
ENGINE = "openvino"  # the format that all of them are written in, and the runtime that reads it


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One file: what it is for, and how it is written."""

    target: Target  # cpu or igpu
    precision: Precision
    fixed: bool  # for one image of the network's own size at a time
    device: str  # that it is proven on
    note: str  # why it is as it is, for the user
    spare: bool = False  # another file does for the device: this one may be refused

    @property
    def words(self) -> str:
        return f"{self.precision}{', fixed shapes' * self.fixed}"


def plans(
    target: Target, devices: Mapping[str, str], isa: Iterable[str], details: Facts
) -> list[Plan]:
    """The files to write.

    `devices` and `details` are what the engine tells, `isa` the processor's instruction sets.
    """
    # The first is the one inside the processor, where there is one.
    gpu = min((name for name in devices if kind_of(name) == "GPU"), default=None)
    if target == "cpu":
        return [_for_processor(isa)]
    if target == "igpu":
        return _for_gpu(gpu, devices, details)
    return [_for_processor(isa), *(_for_gpu(gpu, devices, details) if gpu else [])]


def _for_processor(isa: Iterable[str]) -> Plan:
    vnni = has_vnni(isa)
    return Plan(
        target="cpu",
        precision="int8" if vnni else "fp32",
        fixed=False,
        device="CPU",
        note="for the processor: int8, which it has VNNI instructions for"
        if vnni
        else "for the processor: fp32, as int8 gains less where there is no VNNI",
    )


def _for_gpu(gpu: str | None, devices: Mapping[str, str], details: Facts) -> list[Plan]:
    """fp16, and int8 beside it where the device has instructions for it: measure which is faster.

    fp16 comes first: whatever a driver does to int8, that one is there.
    """
    if gpu is None:
        note = "for the GPU, which is not seen here: proven on the processor"
        return [Plan(target="igpu", precision="fp16", fixed=True, device="CPU", note=note)]
    proven = f"proven on {gpu} ({devices[gpu]})"
    fp16 = Plan(
        target="igpu", precision="fp16", fixed=True, device=gpu, note=f"for the GPU, {proven}"
    )
    if "INT8" not in details.get(gpu, {}).get("capabilities", ""):
        return [fp16]
    note = f"for the GPU: int8 too, which it has instructions for, {proven}"
    return [fp16, replace(fp16, precision="int8", spare=True, note=note)]
