"""The places that are seeded: one protocol, one story of cleanup, and a folder per cloud."""
