"""Prompts for the objects of a scene, from vector files of any length."""
