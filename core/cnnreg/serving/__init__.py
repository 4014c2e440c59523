"""A folder that OpenVINO Model Server serves as it is: `cnnreg export --serve-layout`."""

from .layout import LAYOUT, Served, serve

__all__ = ["LAYOUT", "Served", "serve"]
