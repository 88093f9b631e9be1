"""How good poses are and how reliable their scores: `trustpose.audit("gt.json", "results.json")` returns an `Audit`.

An audit is one loop over batches of whole photos: each section of the record adds a batch to its sums and gives its
numbers at the end, so that the same rows give the same numbers whatever the layout of the files. `record.py` has the
numbers by name, `comparison.py` the differences between files. Read `audit.py` first, then `record.py`.
"""
