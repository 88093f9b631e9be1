"""How good poses are and how reliable their scores: `trustpose.audit("gt.json", "results.json")` returns an `Audit`."""
