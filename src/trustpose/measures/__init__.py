"""Measurements: angles, inclinations and lengths read off poses, each with the error that it can have, and how far they
are from a reference.

Read `measure.py` first (`tp.measure`); `definitions.py` says which there are, `measurements.py` is the record, and
`measured_results.py` writes the table of a results file. The formulas lie in `geometry.measures`, the errors in
`calibration.measure_errors`. (The package is not called `measure`, which is the function's name.)

`agree.py` (`tp.agree`) compares readings with a reference: `paired_readings.py` pairs rows, `time_offset.py` compares
clocks, `cycles.py` cuts strides, `agreement.py` is the record. The formulas lie in `metrics.agreement`.
"""

from trustpose.measures.agree import agree
from trustpose.measures.agreement import Agreement
from trustpose.measures.measure import measure
from trustpose.measures.measurements import Measurements

__all__ = ["Agreement", "Measurements", "agree", "measure"]
