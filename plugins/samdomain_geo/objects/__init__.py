"""Objects that prompts ask for, from the windows they are seen in to a table and a raster."""
