"""File formats a trained network can be written in."""

INPUT = "images"
"""Float32 [N, C, H, W], already normalised, in every format and precision."""

OUTPUT = "logits"
"""Float32 [N, classes], in every format and precision."""
