"""Sessions whose speed is known, on a clock of their own."""

from __future__ import annotations

import numpy as np

from cnnreg.errors import MachineError


class Clock:
    """Time that passes only in calls: what the machine does meanwhile changes no result."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1e-7
        return self.now


class Waiting:
    """Takes the given time a call, and notes what it is called with."""

    def __init__(
        self, clock: Clock, seconds: float, log: list[str] | None = None, name: str = ""
    ) -> None:
        self.clock, self.seconds, self.log, self.name, self.seen = clock, seconds, log, name, set()
        self.images = 1

    def prepare(self, images):
        self.images = len(images)
        return images.tobytes()

    def infer(self, inputs):
        self.seen.add(inputs)
        if self.log is not None:
            self.log.append(self.name)
        self.clock.now += self.seconds
        return np.zeros((self.images, 3), np.float32)

    def describe(self):
        return {"device": "none"}


class Slowing(Waiting):
    """Takes longer with each call."""

    def infer(self, inputs):
        self.seconds *= 1.02
        return super().infer(inputs)


class Failing(Waiting):
    """Its device is lost in the second round of a short benchmark, as when a driver is reset."""

    calls = 0

    def infer(self, inputs):
        self.calls += 1
        if self.calls > 500:
            raise MachineError("The driver was reset.")
        return super().infer(inputs)
