"""Every registered architecture is written in every format, and answers the same there."""

from collections.abc import Iterator
from typing import Any

import pytest

from cnnreg import ArchitectureSpec, load_registry
from cnnreg.conformance import Check, export_checks

REGISTRY = load_registry()
SPECS = [entry.spec for entry in REGISTRY.architectures.entries]
CHECKS = export_checks(REGISTRY)
HEAVY = 1e9  # MACs


def contract() -> Iterator[Any]:
    """The smallest of each family at once, the others and the heavy in the slow tests."""
    smallest: dict[str, str] = {}
    for spec in sorted(SPECS, key=lambda spec: (spec.macs, spec.name)):
        smallest.setdefault(spec.family, spec.name)
    for spec in SPECS:
        light = spec.name in smallest.values() and spec.macs < HEAVY
        marks = [] if light else [pytest.mark.slow]
        for check in CHECKS:
            yield pytest.param(spec, check, id=f"{spec.name}-{check.name}", marks=marks)


@pytest.mark.parametrize(("spec", "check"), list(contract()))
def test_export(spec: ArchitectureSpec, check: Check) -> None:
    outcome = check(spec)
    assert outcome.passed, outcome.reason
