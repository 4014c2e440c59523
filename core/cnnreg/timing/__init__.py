"""Benchmarks: who takes part, how latency is measured, and which contestant to use."""
