"""The grid of sites by versions: its partitions, what was seeded, what is owed and why it waits."""
