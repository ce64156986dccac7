"""Dagster's UI for the one who started it: a guard around Dagster's own application, in the same process."""
