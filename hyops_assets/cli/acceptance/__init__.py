"""`hyops acceptance`: one template and one image at real sites, made, audited and removed, within a cap of money.

It is the operator's, and so in the package; `hyops cleanup` removes what a killed one left (docs/decisions/0027).
"""
