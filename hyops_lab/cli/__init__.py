"""The lab's part of the `hyops` command."""
