"""File formats a trained network can be written in."""

INPUT = "images"
"""Float32 [N, C, H, W], already normalised; of a self-contained file uint8 RGB [N, H, W, 3]."""

OUTPUT = "logits"
"""Float32 [N, classes], in every format and precision."""

PROBABILITIES = "probabilities"
"""Float32 [N, classes], the first output of a self-contained file."""
WEIGHTS = "weights_sha256"  # key in an IR: the digest of its .bin file
