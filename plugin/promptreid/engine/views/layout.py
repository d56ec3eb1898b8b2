"""Which scalars stand in one chart."""

from __future__ import annotations

CHARTS = {
    "Training": {
        "loss and its parts": ["Train/(?!(lr|data|acc)$).*"],
        "accuracy of the first head, %": ["Train/acc$"],
        "learning rates": ["LR/.*"],
        "images per second": ["Speed/images_per_second$"],
        "wait for a batch, s": ["Train/data$"],
        "memory, GiB": ["Memory/.*"],
    },
    "Tests": {
        "rank-1": ["Test/.*/rank1$"],
        "mAP": ["Test/.*/mAP$"],
        "mINP": ["Test/.*/mINP$"],
        "CMC, over ranks": ["CMC/.*"],
    },
    "Prompts": {
        "norms of gradients": ["Prompts/gradient/.*"],
        "measures of the method": ["Prompts/(?!gradient/).*"],
    },
}
"""Title of a group, title of a chart, regular expressions of tags."""
