"""Weights that were trained elsewhere, made into an ordinary run."""
