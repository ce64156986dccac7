"""What each module does when it is planned or applied: one file per module, one row per module in `registry`.

What belongs here: how a module's validated inputs become runs of the graph or calls to a client. How inputs are read,
runs recorded and states kept is the same for every module and stands beside this package. Nothing here imports
Dagster or a cloud's library before a module is applied: `hyops validate` loads this package.
"""
