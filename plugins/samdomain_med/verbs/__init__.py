"""The commands of the med plugin, one a file."""
