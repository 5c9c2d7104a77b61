"""What changed between two dates, asked of an adapter."""
