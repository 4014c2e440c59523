"""`export --target`: which files that means here, and what may not be said beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cnnreg.engines import need
from cnnreg.errors import CnnregError, GateError, UsageError
from cnnreg.exporting.publishing import ExportResult
from cnnreg.exporting.targets import ENGINE, Plan, Target, plans
from cnnreg.machine.devices import details_of, listed_devices
from cnnreg.machine.environment import instruction_sets
from cnnreg.registry import Registry
from cnnreg.specs import ExporterSpec, Interface, Precision
from cnnreg.termination import stop_if_asked

from .common import say


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One file to write; `plan` is set if a target asks for it."""

    exporter: ExporterSpec
    precision: Precision
    interface: Interface
    plan: Plan | None = None

    @property
    def device(self) -> str:
        return self.plan.device if self.plan else "CPU"

    @property
    def target(self) -> str | None:
        return self.plan.target if self.plan else None

    @property
    def outcomes(self) -> tuple[Precision, ...]:
        """The precisions that it may end in."""
        both = self.plan is not None and self.precision == "int8" and not self.plan.spare
        return (self.precision, "fp32") if both else (self.precision,)

    def run(self, publish: Callable[[Precision], ExportResult]) -> ExportResult:
        """Publish; where a target's int8 loses too much accuracy, fp32. Raises GateError."""
        if self.plan:
            say(self.plan.note)
        try:
            return publish(self.precision)
        except GateError as error:
            stop_if_asked()
            *_, last = self.outcomes
            if last == self.precision:
                raise
            say(f"{error.what} So {last} is written.")
            return publish(last)


def spared(job: Job, error: CnnregError, done: Iterable[Job]) -> bool:
    """Whether a refusal is none, as another file does for the same device; says so."""
    other = next((one for one in done if one.target == job.target), None)
    if other is None or not (job.plan and job.plan.spare and isinstance(error, GateError)):
        return False
    say(f"{error.what} So for the GPU there is {other.precision} alone.")
    return True


def jobs_for(
    registry: Registry,
    target: Target,
    exporters: Sequence[ExporterSpec],
    precisions: Iterable[Precision],
    interface: Interface,
) -> list[Job]:
    """The files of a target. Raises UsageError if the other flags ask for something else."""
    exporter, runtime = registry.exporters[ENGINE], registry.runtimes[ENGINE]
    need(runtime)
    chosen = plans(target, listed_devices(runtime), instruction_sets(), details_of(runtime))
    wrong = [f"--{spec.name}" for spec in exporters if spec != exporter]
    if precisions and set(precisions) != {plan.precision for plan in chosen}:
        needed = [plan for plan in chosen if not plan.spare]
        if set(precisions) == {plan.precision for plan in needed}:
            chosen = needed
        else:
            wrong += [f"--precision {precision}" for precision in precisions]
    if interface.fixed and not all(plan.fixed for plan in chosen):
        wrong.append("--fixed")
    if wrong:
        means = " and ".join(f"{exporter.title} {plan.words}" for plan in chosen)
        raise UsageError(
            f"--target {target} means {means} here, which {' '.join(wrong)} contradicts.",
            hint=f"Leave out --target, or {' '.join(wrong)}.",
        )
    return [
        Job(
            exporter=exporter,
            precision=plan.precision,
            interface=Interface(embed=interface.embed, fixed=plan.fixed),
            plan=plan,
        )
        for plan in chosen
    ]
