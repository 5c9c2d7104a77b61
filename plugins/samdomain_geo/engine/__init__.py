"""Work over a scene of any size: planned as blocks, shared by workers, finished once."""
