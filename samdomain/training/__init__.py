"""Train a recipe on images with masks: Lightning's loop, a config, a folder a run.

The only room that imports Lightning; importing the room itself does not. `verbs` are the commands.
"""
