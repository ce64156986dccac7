"""Local stand-ins that speak the real protocols and do the real work on files, for the demo and the tests.

The lab stands on the ground floor only and knows nothing of the product's clients. What it keeps and signs is
marked as lab, and refused anywhere else.
"""
