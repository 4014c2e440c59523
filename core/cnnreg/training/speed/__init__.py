"""The fastest way to compute on this machine, measured and remembered."""
