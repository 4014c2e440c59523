"""Data: from a name or a folder to three splits of pixels in memory. Free of torch."""

from .config import DataConfig, data_config, expanded
from .dataset import Dataset, open_dataset
from .decode import Split

__all__ = ["DataConfig", "Dataset", "Split", "data_config", "expanded", "open_dataset"]
