"""What is promised downstream: versions, records, states, references, settings.

Pure functions and pydantic models. Loads without Dagster and in well under 0.3 s. Nothing here opens a file,
a socket or a process.
"""
