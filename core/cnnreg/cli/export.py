"""`cnnreg export`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import get_args

import click
from click.core import ParameterSource

from cnnreg.engines import need
from cnnreg.errors import CnnregError, GateError, UsageError
from cnnreg.exporting.budget import DEFAULT_MINUTES
from cnnreg.exporting.original import Original, load_original
from cnnreg.exporting.publishing import ExportResult, planned, publish
from cnnreg.exporting.targets import TARGETS, Target
from cnnreg.machine.awake import awake
from cnnreg.registry import Entry, Registry
from cnnreg.run_data import data_of_run
from cnnreg.serving import LAYOUT, serve, served_name
from cnnreg.specs import ExporterSpec, Interface, Precision
from cnnreg.termination import stop_if_asked, terminable

from .common import (
    NumberRange,
    console,
    folder_type,
    get_registry,
    json_option,
    print_json,
    say,
)
from .export_results import as_data, joint_refusal, show
from .export_target import Job, jobs_for, spared
from .finished import telling
from .newest import named_or_newest
from .options import Listed, moved_data_options


class ExportCommand(click.Command):
    """Has a flag for every format in the registry, a third party's included."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        flags = [
            click.Option([f"--{name}", f"format_{number}"], is_flag=True, help=entry.spec.summary)
            for number, (name, entry) in enumerate(_formats().items())
        ]
        return [*flags, *super().get_params(ctx)]


def _formats() -> dict[str, Entry[ExporterSpec]]:
    """The exporters by their flag: the name, or plugin:name where that is another's too."""
    catalog = get_registry().exporters
    own = {flag.lstrip("-") for parameter in command.params for flag in parameter.opts}
    taken = catalog.conflicts() | own | {"help", "debug"}
    return {e.qualified if e.spec.name in taken else e.spec.name: e for e in catalog.entries}


@click.command(cls=ExportCommand)
@click.argument("run", type=folder_type, required=False)
@click.option(
    "--precision",
    "precisions",
    type=Listed(click.Choice(get_args(Precision))),
    metavar="fp32,fp16,int8",
    multiple=True,
    callback=lambda ctx, param, given: tuple(chain.from_iterable(given)),
    help="One, or several with commas between them; default: fp32.",
)
@click.option(
    "--target",
    type=click.Choice(TARGETS),
    help="OpenVINO, set up for this processor, for Intel graphics, or for what is here.",
)
@click.option(
    "--max-drop",
    type=NumberRange(0, 100),
    help="Accuracy budget in percentage points of top-1; default: fp16 0.5 or one image, int8 1.0.",
)
@click.option(
    "--max-minutes",
    type=NumberRange(min=0),
    default=DEFAULT_MINUTES,
    show_default=True,
    help="int8: longest time to look for layers to leave in float, and again for fine-tuning.",
)
@click.option(
    "--embed",
    is_flag=True,
    help="A self-contained file: uint8 RGB pictures of any size in, probabilities out.",
)
@click.option(
    "--fixed", is_flag=True, help="For one image of the network's own size at a time, as GPUs want."
)
@click.option(
    "--serve-layout",
    is_flag=True,
    help="Also a folder that OpenVINO Model Server serves as it is, and a client; with --embed.",
)
@click.option("--output", type=folder_type, help="Folder to write to; default: RUN/exports.")
@moved_data_options
@json_option
@terminable()
def command(
    run: Path | None,
    precisions: tuple[Precision, ...],
    target: Target | None,
    max_drop: float | None,
    max_minutes: float,
    embed: bool,
    fixed: bool,
    serve_layout: bool,
    output: Path | None,
    data: Path | None,
    data_dir: Path | None,
    as_json: bool,
    **formats: bool,
) -> None:
    """Write RUN, or the newest run, in other formats, each proven equal before it is named."""
    registry = get_registry()
    interface = Interface(embed=embed or serve_layout, fixed=fixed)
    jobs = _jobs(registry, formats, target, precisions, interface)
    if serve_layout and any(job.interface.fixed for job in jobs):
        fixing = "--fixed allows" if fixed else f"--target {target} is for"
        raise UsageError(f"--serve-layout serves pictures of any size, {fixing} one alone.")
    _say_unused(jobs, max_drop)
    for job in jobs:
        need(job.exporter)
    from rich.markup import escape

    opened = named_or_newest(run)
    out = console(stderr=True)
    with out.status("reading the run") as status:
        dataset = data_of_run(registry, opened, folder=data, downloads=data_dir)
        original = load_original(registry, opened, dataset, note=say)
        results: list[tuple[Job, ExportResult]] = []
        refused: list[GateError | UsageError] = []

        def step(text: str) -> None:
            status.update(escape(text))

        publish_in = partial(
            publish,
            registry,
            original,
            output=output,
            max_drop=max_drop,
            max_minutes=max_minutes,
            step=step,
        )
        layout = (output or opened.exports) / LAYOUT if serve_layout else None
        with (
            awake(),
            telling(
                lambda: as_data(results),
                lambda: f"Stopped after {len(results)} of {len(jobs)} files.",
            ),
        ):
            for job in jobs:
                try:
                    _publish_job(registry, job, original, publish_in, layout, results, step)
                except (GateError, UsageError) as error:  # says nothing of the other files
                    stop_if_asked()
                    if not spared(job, error, (done for done, _ in results)):
                        refused.append(error)
                except Exception:  # what was published before it stays
                    for refusal in refused:
                        say(str(refusal))
                    raise
                else:
                    if not as_json:
                        show(registry, job.exporter, results[-1][1])
    if refused:
        refusal = refused[0] if len(refused) == 1 else joint_refusal(refused, len(jobs))
        refusal.finished = as_data(results)
        raise refusal
    if as_json:
        print_json(as_data(results))


def _publish_job(
    registry: Registry,
    job: Job,
    original: Original,
    publish_in: Callable[..., ExportResult],
    layout: Path | None,
    results: list[tuple[Job, ExportResult]],
    step: Callable[[str], None],
) -> None:
    """Publish, and lay out for a server where that is wanted: what fails there stays published."""
    if layout:
        for precision in job.outcomes:
            manifest = planned(registry, original, job.exporter, precision, job.interface)
            served_name(layout, manifest)
    publish_as = partial(
        publish_in,
        job.exporter,
        interface=job.interface,
        device=job.device,
        fp16_instead=job.plan is None,  # a target has another file
    )
    try:
        _add(results, job, job.run(publish_as))
    except GateError as error:
        if error.instead:
            _add(results, replace(job, precision="fp16"), error.instead)
            try:
                _lay_out(results, layout, step)
            except (CnnregError, OSError) as fault:  # the refusal is what the command ends with
                say(str(fault))
        raise
    _lay_out(results, layout, step)


def _add(results: list[tuple[Job, ExportResult]], job: Job, result: ExportResult) -> None:
    """In place of an earlier one of that folder: fp16 may come of int8, and be asked for too."""
    results[:] = [done for done in results if done[1].folder != result.folder]
    results.append((job, result))


def _lay_out(
    results: list[tuple[Job, ExportResult]], layout: Path | None, step: Callable[[str], None]
) -> None:
    """The last result for a server, where that is wanted."""
    if layout:
        step("laying out what is served")
        job, result = results[-1]
        results[-1] = job, replace(result, served=serve(result.folder, layout))


def _jobs(
    registry: Registry,
    formats: Mapping[str, bool],
    target: Target | None,
    precisions: tuple[Precision, ...],
    interface: Interface,
) -> list[Job]:
    """The files that the flags ask for. Raises UsageError for none, and for contradictions."""
    flags = [formats[f"format_{number}"] for number in range(len(_formats()))]
    chosen = zip(_formats().values(), flags, strict=True)
    exporters = [entry.spec for entry, wanted in chosen if wanted]
    if target:
        return jobs_for(registry, target, exporters, precisions, interface)
    if not exporters:
        known = " or ".join(f"--{name}" for name in _formats())
        raise UsageError("Say which format to write.", hint=f"Add {known}, or --target auto.")
    return [
        Job(exporter=exporter, precision=precision, interface=interface)
        for exporter in exporters
        for precision in dict.fromkeys(precisions or ("fp32",))
    ]


def _say_unused(jobs: Sequence[Job], max_drop: float | None) -> None:
    """What was asked for and is of none of these files."""
    precisions = {job.precision for job in jobs}
    if max_drop is not None and precisions == {"fp32"}:
        say("--max-drop is of fp16 and int8; fp32 is judged by its logits")
    source = click.get_current_context().get_parameter_source("max_minutes")
    if source is ParameterSource.COMMANDLINE and "int8" not in precisions:
        say("--max-minutes is of int8 alone")
