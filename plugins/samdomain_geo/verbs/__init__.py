"""The commands of the geo plugin, one a file."""
