"""Engines that run a model: for comparing, evaluating, timing and predicting."""
