"""People in the world, in files: JSON, CSV and Parquet with all fields, TRC and C3D for other programs."""

from trustpose.io.poses3d.files import FORMATS, format_of, read_poses3d, write_poses3d

__all__ = ["FORMATS", "format_of", "read_poses3d", "write_poses3d"]
