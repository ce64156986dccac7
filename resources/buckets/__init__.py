"""The one interface beneath what is kept outside of a process: create once, compare and swap, read, look up, list."""
