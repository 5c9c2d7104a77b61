"""Polygons, from the regions of a raster to files that a GIS opens."""
