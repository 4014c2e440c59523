"""Data sets: one plugin a module."""
