"""Read COCO ground truth and keypoint results, and write results, with our extended fields.

The content of a file is checked here once; an `InputError` names the file, the entry, the field and what was expected.
"""

from trustpose.formats.coco.results import ResultsFile, read_results
from trustpose.formats.coco.truth import TruthFile, read_images, read_truth
from trustpose.images import Images
from trustpose.poses import write_results

__all__ = ["Images", "ResultsFile", "TruthFile", "read_images", "read_results", "read_truth", "write_results"]
