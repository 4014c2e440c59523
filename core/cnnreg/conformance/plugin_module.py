"""Whether a plugin's module is quick to import, and stays where it is: every command imports it."""

from __future__ import annotations

from functools import cache, partial

from cnnreg.registry import Registry
from cnnreg.specs import ArchitectureSpec

from .check import Check, in_fresh_process, last_words, require

ALONE = """
import os, sys
from importlib.metadata import EntryPoint
here = os.getcwd()
EntryPoint("plugin", sys.argv[1], "cnnreg").load()
if "torch" in sys.modules:
    sys.exit("imports torch, for which every command would wait: import it in functions")
if os.getcwd() != here:
    sys.exit("changes the working folder")
"""


def import_check(registry: Registry) -> Check[ArchitectureSpec]:
    return Check(name="import", run=partial(_imports_lightly, registry))


def _imports_lightly(registry: Registry, spec: ArchitectureSpec) -> str:
    entries = registry.architectures.entries
    module = next(entry.plugin.module for entry in entries if entry.spec is spec)
    fault = _fault_of(module)
    require(not fault, f"'{module}' {fault}")
    return "importing it imports no torch, and stays in the working folder"


@cache
def _fault_of(module: str) -> str:
    """What is wrong with importing it in a fresh process, the plugin's own output aside."""
    done = in_fresh_process(ALONE, module)
    return last_words(done) if done.returncode else ""
