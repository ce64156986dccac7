"""The object repository: where records are published, once, under immutable names, for anyone to read."""
