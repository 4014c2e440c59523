"""The built-in networks, data sets and optimizers, each a plugin like anyone's."""
