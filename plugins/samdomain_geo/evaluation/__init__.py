"""How well a map agrees with the truth: figures, files for a GIS, and a report."""
