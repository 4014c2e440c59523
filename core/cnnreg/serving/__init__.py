"""A folder that OpenVINO Model Server serves as it is: `cnnreg export --serve-layout`."""

from .layout import LAYOUT, Served, serve, served_name

__all__ = ["LAYOUT", "Served", "serve", "served_name"]
