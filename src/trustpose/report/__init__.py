"""Everything to look at: drawings of poses, videos, plots, and the HTML pages of audits, comparisons and 3D scenes.

`draw.py` draws poses on one photo, `page.py` writes the page of an audit as one self-contained file. Pages contain no
scripts from elsewhere, and texts from files are escaped. Read `draw.py` first, then `page.py`.
"""
