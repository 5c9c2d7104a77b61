"""Folders of results, and how they look in a GIS."""
