"""Loggers: what a training tells to other tools while it runs, if `train --log` asks for it."""
