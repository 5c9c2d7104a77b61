"""What changed between two dates: by an adapter of change or of classes, or at first sight."""
