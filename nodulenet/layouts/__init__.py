"""Public cohorts by name: the folder as downloaded, its files matched into a scan table.

`read_layout` in `choose` reads them; importing the names alone is fast.
"""

NAMES = ("lndb", "luna25", "dlcs24", "msd_lung", "luna16", "lidc")
