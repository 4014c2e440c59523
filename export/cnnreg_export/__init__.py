"""The built-in file formats and runtimes, each a plugin like anyone's."""
