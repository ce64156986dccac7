"""The `hyops` command. Each subcommand imports what it needs when it runs: help must be instant."""
