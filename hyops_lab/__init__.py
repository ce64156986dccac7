"""Local stand-ins that speak the real protocols and do the real work on files, for the demo and the tests.

The stand-ins use the ground floor only, none of the product's clients; `cli/` uses the product, as `hyops` does. What
the lab keeps and signs is marked as lab, and refused anywhere else.
"""
