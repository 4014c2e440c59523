"""What a network is made of: parameters, multiply-accumulates, and its table of stages.

Everything is found out by running a copy of the module once on the meta device,
so it costs no arithmetic and works for any module, whoever wrote it.
"""

from .stages import Stage, count_macs, count_parameters, stages

__all__ = ["Stage", "count_macs", "count_parameters", "stages"]
