"""What the configs of bundles name, so that they need no code of their own.

MONAI evaluates texts in configs that begin with `$`. A function named by `_target_` does the same
where it can be read, typed and tested.
"""
