"""The artifact store: every byte and document up to both records, content-addressed and private."""
