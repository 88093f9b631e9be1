"""What `trustpose cameras` prints, and the same as JSON."""

from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from trustpose.multiview.board_photos import BoardPhoto
    from trustpose.multiview.intrinsics import Intrinsics

_COEFFICIENTS = "k1 k2 p1 p2 k3 k4 k5 k6 s1 s2 s3 s4 tau_x tau_y".split()


def photo_uses(calibrated: "Intrinsics", photos: "list[BoardPhoto]") -> "list[tuple[str, float | None, str]]":
    """Return each photo's name, its reprojection error in pixels (None without a board) and why it is left out."""
    rows: list[tuple[str, float | None, str]] = []
    seen = iter(zip(calibrated.errors.tolist(), calibrated.is_used.tolist(), strict=True))
    for photo in photos:
        if photo.corners is None:
            rows.append((photo.name, None, "left out: the board was not found, whole"))
            continue
        error, is_used = next(seen)
        rows.append((photo.name, error, "" if is_used else "left out: its error stands out"))
    return rows


def print_calibration(calibrated: "Intrinsics", photos: "list[BoardPhoto]") -> None:
    """Print each photo's error, then the camera with standard deviations."""
    from trustpose.multiview.intrinsics import coverage

    uses = photo_uses(calibrated, photos)
    width = max(len(name) for name, *_ in uses)
    typer.echo(f"{'photo':{width}}  error (pixels)")
    for name, error, use in uses:
        typer.echo(f"{name:{width}}  {'–' if error is None else f'{error:.2f}':>5}  {use}".rstrip())
    camera = calibrated.camera
    used = [photo.corners for photo in photos if photo.corners is not None]
    assert camera.size is not None
    share = coverage(used, camera.size)
    typer.echo(
        f"{calibrated.is_used.sum()} of {len(photos)} photos, reprojection error {calibrated.error:.2f} pixels, "
        f"corners in {share:.0%} of the image"
    )
    for name, text in lens_rows(calibrated):
        typer.echo(f"{name:18} {text:>9}")


def lens_rows(calibrated: "Intrinsics") -> list[tuple[str, str]]:
    """Return what was found of the lens: names, and values with standard deviations."""
    camera, std = calibrated.camera, calibrated.std
    matrix = camera.matrix
    values = [matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]]
    names = ["focal length x", "focal length y", "principal point x", "principal point y"]
    rows = [
        (name, f"{value:9.2f} ± {spread:.2f} pixels") for name, value, spread in zip(names, values, std, strict=False)
    ]
    coefficients = _COEFFICIENTS if camera.lens == "pinhole" else ["k1", "k2", "k3", "k4"]
    spreads = zip(coefficients, camera.distortion, std[4:], strict=False)
    return rows + [(name, f"{value:9.5f} ± {spread:.5f}") for name, value, spread in spreads]


def calibration_record(calibrated: "Intrinsics", photos: "list[BoardPhoto]") -> dict[str, Any]:
    """Return the printed numbers, with corners and residuals."""
    camera = calibrated.camera
    return {
        "camera": camera.name,
        "size": camera.size,
        "lens": camera.lens,
        "matrix": camera.matrix.tolist(),
        "distortion": camera.distortion.tolist(),
        "std": calibrated.std.tolist(),
        "error": calibrated.error,
        "photos": [
            {"name": name, "error": error, "left_out": use or None}
            for name, error, use in photo_uses(calibrated, photos)
        ],
    }
