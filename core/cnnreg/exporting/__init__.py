"""From a trained run to a file that may leave: written, compared with the original, published."""
