"""What anew asks of the world: one small Protocol per file."""
