"""Training that knows of the rounding to int8 (quantisation-aware training)."""
