"""trustpose: 2D human pose estimation that knows how far to trust itself."""

__version__ = "0.1.0"
