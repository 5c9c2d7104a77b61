"""An aerial-like scene of two dates, made in code: the demo, and the generator for tests."""

from samdomain_geo.made_scene.scene import MadeScene, make_scene, rough_boxes, write_scene

__all__ = ["MadeScene", "make_scene", "rough_boxes", "write_scene"]
