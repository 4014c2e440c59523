"""Training: everything here may import torch."""
