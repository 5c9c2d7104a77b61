"""Scenes on a disk or behind a URL, and how they are looked at: windows, chips, pixel sizes."""
