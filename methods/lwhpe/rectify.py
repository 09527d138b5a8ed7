"""Image rectification of LwHPE: the camera is turned until it looks at the face.

Perspective distorts a face beside the optical axis as if the head were turned. The authors undo it
before the network sees the face, and turn the predicted rotation back.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hpbench.face import Camera, Face
from hpbench.geometry.boxes import box_from_points

__all__ = ["rectify", "rotation_to_axis"]

Array = npt.NDArray[np.float64]


def rotation_to_axis(point_xy: Array, camera: Camera) -> Array:
    """Smallest rotation, shape (3, 3), that takes a pixel's ray to the optical axis."""
    import cv2
    from scipy.spatial.transform import Rotation

    point = np.asarray(point_xy, dtype=np.float64).reshape(1, 1, 2)
    x, y = cv2.undistortPoints(point, camera.matrix, camera.distortion)[0, 0]
    ray = np.array([x, y, 1.0]) / np.sqrt(x * x + y * y + 1.0)
    axis = np.cross(ray, [0.0, 0.0, 1.0])
    sine = np.linalg.norm(axis)
    if sine < 1e-12:
        return np.eye(3)
    rotvec = axis / sine * np.arctan2(sine, ray[2])
    return np.asarray(Rotation.from_rotvec(rotvec).as_matrix())


def rectify(face: Face, camera: Camera) -> tuple[Face, Array]:
    """The face as the camera would see it if it looked at it, without lens distortion.

    Parameters
    ----------
    face : Face
    camera : Camera

    Returns
    -------
    face : Face
        The image of a camera whose principal point is the middle of the old box, so that the face
        stays where it was, and the box around the old box's corners.
    R : ndarray, shape (3, 3)
        ``X_rectified = R @ X_cam``; a rotation predicted from the new image is turned back by
        ``R.T``.
    """
    import cv2

    x0, y0, x1, y1 = face.box_xyxy
    middle = np.array([(x0 + x1) / 2.0, (y0 + y1) / 2.0])
    R = rotation_to_axis(middle, camera)
    seeing = np.array(camera.matrix)
    seeing[:2, 2] = middle
    maps = cv2.initUndistortRectifyMap(
        camera.matrix, camera.distortion, R, seeing, face.size_wh, cv2.CV_32FC1
    )
    image = cv2.remap(face.image, *maps, cv2.INTER_LINEAR)
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]).reshape(-1, 1, 2)
    seen = cv2.undistortPoints(corners, camera.matrix, camera.distortion, None, R, seeing)
    box = box_from_points(seen[:, 0])
    rectified = Camera(seeing, np.zeros_like(camera.distortion))
    return Face(face.image_id, np.asarray(image, np.uint8), box, rectified), R
