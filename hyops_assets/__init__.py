"""The HyOps VyOS image pipeline: one signed ISO, one canonical disk, published once, seeded many times."""
