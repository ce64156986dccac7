"""`pipeline.yml`: a model for each section, and the whole in `pipeline`."""
