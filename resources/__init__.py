"""Everything outside this process: release feed, artifact store, object repository, state store, clouds, secrets.

One package or module per system: a plain client that knows no Dagster, and beside it a thin
`ConfigurableResource` in `resource.py` whose `create_resource` returns that client.
"""
