"""samdomain for medical images, on MONAI: the plugin's place; it has no verbs yet."""
