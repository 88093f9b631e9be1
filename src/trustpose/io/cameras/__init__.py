"""Camera files in and out: the calibrations of other packages, one module per format.

Every translation is converted to metres. Where a format fixes no unit, the caller must state it. `recognise` finds the
format from a file's content.
"""

from trustpose.io.cameras.recognise import FORMATS, read_cameras, write_cameras

__all__ = ["FORMATS", "read_cameras", "write_cameras"]
