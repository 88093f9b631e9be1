"""Measurements: angles, inclinations and lengths read off poses, each with the error that it can have.

Read `measure.py` first (`tp.measure`); `definitions.py` says which there are, `measurements.py` is the record, and
`measured_results.py` writes the table of a results file. The formulas lie in `geometry.measures`, the errors in
`calibration.measure_errors`. (The package is not called `measure`, which is the function's name.)
"""

from trustpose.measures.measure import measure
from trustpose.measures.measurements import Measurements

__all__ = ["Measurements", "measure"]
