"""A registry with one data set, which a test makes up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cnnreg.plugins import PluginStatus
from cnnreg.registry import Catalog, Entry, Registry
from cnnreg.specs import DatasetSpec, SourceData


@pytest.fixture
def offer(registry: Registry):
    """A registry with one data set, which hands over what the test says."""

    def make(train, *, val=None, test=None, classes=None, opened=None, **spec) -> Registry:
        names = classes or tuple("abcdefghij"[: train.labels.max() + 1])
        source = SourceData(classes=names, train=train, val=val, test=test)
        spec = DatasetSpec(
            name="stub",
            summary="for tests",
            open=opened or (lambda request: source),
            licence="none",
            **spec,
        )
        status = PluginStatus(
            name="stub", distribution="", version="", module="stub", state="loaded"
        )
        return replace(registry, datasets=Catalog("dataset", [Entry(spec, status)]))

    return make
