"""The processes of one training: who one is, and what they tell each other.

Torchrun starts them and tells each its place in environment variables. Numbers and
texts travel over gloo, gradients on a GPU over nccl; nothing is pickled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from cnnreg.errors import LostProcessError, is_out_of_memory


@dataclass(frozen=True, slots=True)
class World:
    """One process among `size`; alone, every sum is what one has oneself.

    All of them must call the same methods in the same order. Each method that sends
    something raises LostProcessError if another process has gone.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0  # among those on this machine: the number of its GPU

    @property
    def writes(self) -> bool:
        """One process alone writes files and speaks."""
        return self.rank == 0

    def part(self, items: Tensor) -> Tensor:
        """This process's share of a batch: each item is one process's, none is two's."""
        return items[self.rank :: self.size]

    def before(self, border: int) -> int:
        """How many of the first `border` items of a batch are this process's."""
        return max(0, -((self.rank - border) // self.size))

    def sum(self, *values: float) -> tuple[float, ...]:
        if self.size == 1:
            return values
        total = torch.tensor(values, dtype=torch.float64)
        self.sum_in_place(total)
        return tuple(total.tolist())

    def any(self, flag: bool) -> bool:
        """Whether it is true in any process: what all must then act on together."""
        return self.largest(int(flag)) > 0

    def largest(self, number: int) -> int:
        if self.size == 1:
            return number
        found = torch.tensor(number)
        with _together():
            dist.all_reduce(found, dist.ReduceOp.MAX)
        return int(found)

    def sum_in_place(self, values: Tensor) -> None:
        if self.size > 1:
            with _together():
                dist.all_reduce(values)

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace each gradient by the sum over all processes, in one message."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        if self.size == 1 or not gradients:
            return
        message = torch.cat([gradient.reshape(-1) for gradient in gradients])
        self.sum_in_place(message)
        parts = torch.split(message, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def from_first(self, content: bytes) -> bytes:
        """What the first process holds; the others' own `content` does not count."""
        if self.size == 1:
            return content
        length = self.largest(len(content) if self.rank == 0 else 0)
        message = torch.empty(length, dtype=torch.uint8)
        if self.rank == 0:
            message = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        with _together():
            if length:
                dist.broadcast(message, 0)
        return message.numpy().tobytes()

    def copy_from_first(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite each tensor by the first process's."""
        for tensor in tensors if self.size > 1 else ():
            message = tensor.detach().contiguous()  # nccl takes no other
            with _together():
                dist.broadcast(message, 0)
            tensor.detach().copy_(message)

    def gathered(self, values: Tensor) -> list[Tensor]:
        """Every process's `values`, by rank; they must be of one shape, on the processor."""
        if self.size == 1:
            return [values]
        found = [torch.empty_like(values) for _ in range(self.size)]
        with _together():
            dist.all_gather(found, values)
        return found


ALONE = World()


@contextmanager
def _together() -> Iterator[None]:
    """What gloo, nccl and the store say when another process has gone, in our words."""
    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise LostProcessError(
            "Another process of this training has ended or cannot be reached.",
            hint="What was saved is whole: start the processes again, with `cnnreg resume`.",
        ) from error
