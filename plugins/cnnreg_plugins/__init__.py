"""The built-in networks, data sets, optimizers, recipes and loggers: plugins like anyone's."""
