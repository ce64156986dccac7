"""The commands of `hyops`, by what they are about: parsing, and nothing else."""
