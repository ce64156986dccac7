"""Looking into a disk without mounting it: one question, one answer."""
