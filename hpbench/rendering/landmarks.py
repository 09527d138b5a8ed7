"""The 68 iBUG landmarks as vertices of the MakeHuman base mesh.

Found once by running a 68-point predictor that was trained on photographs (dlib's, 300-W)
over near-frontal renders of sixty identities, taking the median position of each point on the
mesh, and making left and right the same. Vertices 60 to 67 are the inner edges of the lips,
upper and lower apart, so they part when the mouth opens.
"""

from __future__ import annotations

import numpy as np

__all__ = ["LANDMARK_VERTICES"]

LANDMARK_VERTICES = np.array(
    [
        # jaw, from the person's right ear over the chin to the left ear
        5741, 5602, 5759, 5242, 735, 915, 891, 921, 747,
        7623, 7593, 7617, 7455, 11851, 12356, 12199, 12338,
        # brows, right then left
        261, 225, 204, 205, 209, 6984, 6980, 6979, 6999, 7030,
        # nose: bridge, then base
        133, 131, 164, 294, 320, 313, 317, 7076, 7082,
        # eyes, right then left
        4855, 4849, 4865, 72, 4862, 6777, 6856, 11483, 11467, 11473, 13373, 11480,
        # outer lips, inner lips
        422, 5351, 450, 466, 7210, 11953, 7182, 7166, 7241, 492, 486, 406,
        418, 472, 474, 7228, 7178, 7243, 494, 488,
    ],
    np.int32,
)  # fmt: skip
"""Shape (68,)."""
