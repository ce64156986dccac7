"""The state store: HyOps module states, where HybridOps and `jq` look for them."""
