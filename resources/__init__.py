"""Everything outside this process: release feed, artifact store, object repository, state store, clouds, secrets.

One package or module per system: a plain client that knows no Dagster, and beside it, in `resource.py`, a function
that returns its Dagster resource (`environment.of_environment`).
"""
