"""What is known of a network beside its training: stages, tensors, answers. May import torch."""
