"""Data: from a name or a folder to three splits of pixels in memory. Free of torch."""

from .config import DataConfig, data_config, expanded
from .dataset import Dataset, Split
from .opening import open_dataset

__all__ = ["DataConfig", "Dataset", "Split", "data_config", "expanded", "open_dataset"]
