"""Classes of every pixel, from an adapter that needs no prompts."""
