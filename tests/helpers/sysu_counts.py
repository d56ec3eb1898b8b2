"""Images of every test identity of SYSU-MM01 in every camera: enough to rebuild query, pool and Python's draws."""

from __future__ import annotations

import numpy as np

from promptreid.evaluation import FeatureSet

# id:cam1/cam2/cam3/cam4/cam5/cam6
_INDOOR = """
6:42/29/20/20/20/20 10:34/30/20/20/20/20 27:13/40/0/21/21/20 28:17/18/20/20/20/20 54:31/23/21/21/21/20
63:28/30/26/27/21/20 69:26/38/20/22/20/20 75:33/36/21/20/20/20 102:19/31/20/20/20/20 104:26/26/20/20/20/20
108:25/28/20/20/20/20 112:24/31/20/20/20/20 117:23/24/20/20/20/20 122:22/26/20/20/20/20 125:29/21/20/20/20/20
130:22/20/20/20/20/20 134:21/31/20/20/20/20 138:21/24/20/20/20/20 139:23/28/20/20/20/20 150:27/27/20/20/20/20
152:26/27/20/20/20/20 162:16/21/20/20/20/20 167:31/30/20/20/20/20 170:37/29/20/20/20/20 172:38/29/20/20/20/20
185:26/24/20/20/20/20 190:13/31/20/20/20/20 202:20/28/20/20/20/20 204:21/25/20/20/20/20 207:23/30/20/20/20/20
215:22/30/20/20/20/20 223:27/33/20/20/20/20 229:29/32/20/20/20/20 232:23/26/20/20/20/20 237:27/26/20/20/20/20
252:28/25/20/20/20/20 253:22/21/20/20/20/20 257:20/27/0/20/20/20 259:23/26/20/20/20/20 263:29/27/20/0/20/20
266:22/31/20/20/20/20 269:20/29/20/20/20/20 272:21/27/20/20/20/20 273:23/35/20/20/20/20 274:27/28/20/20/20/20
282:20/26/20/20/20/20 285:15/29/20/20/20/20 291:17/25/20/20/20/20 300:21/26/20/20/20/20 301:25/26/20/20/20/20
302:25/32/20/20/20/20 307:24/27/20/20/20/20 312:32/33/20/20/20/20 315:31/29/20/20/20/20 318:24/36/20/20/20/20
331:20/18/20/20/20/20
"""
# id:cam3/cam4/cam5; nothing in cameras 1 and 2, 20 images in camera 6
_OUTDOOR = """
17:20/20/20 21:0/20/20 24:20/20/21 25:20/21/22 31:20/20/0 34:20/20/20 36:20/20/20 37:20/20/20 40:20/20/20
41:20/20/20 42:20/20/20 43:20/20/20 44:20/20/20 45:20/21/20 49:20/23/20 50:20/21/20 51:21/23/20 80:20/20/21
81:20/22/20 82:22/20/21 83:22/21/20 84:21/22/21 85:23/22/20 86:21/20/20 87:21/22/22 88:21/26/24 89:22/22/22
90:21/21/21 93:20/20/20 105:20/20/20 106:20/20/20 116:20/20/20 129:20/20/20 166:20/20/20 176:20/20/20
192:20/20/20 210:20/20/20 275:20/20/20 303:20/20/20 333:20/0/20
"""


def counts() -> dict[int, list[int]]:
    """identity -> images in cameras 1 to 6."""
    table = {}
    for entry in _INDOOR.split():
        pid, cells = entry.split(":")
        table[int(pid)] = [int(n) for n in cells.split("/")]
    for entry in _OUTDOOR.split():
        pid, cells = entry.split(":")
        table[int(pid)] = [0, 0, *(int(n) for n in cells.split("/")), 20]
    return dict(sorted(table.items()))


def label_set(cameras: tuple[int, ...]) -> FeatureSet:
    """Labels of all test images of these 0-based cameras; ``scenes`` are the 1-based frames."""
    rows = [
        (pid, camera, frame)
        for pid, cells in counts().items()
        for camera in cameras
        for frame in range(1, cells[camera] + 1)
    ]
    pids, camids, frames = np.array(rows).T
    return FeatureSet(None, pids, camids, frames)


def query_and_pool() -> tuple[FeatureSet, FeatureSet]:
    """The queries, and all visible test images."""
    return label_set((2, 5)), label_set((0, 1, 3, 4))
