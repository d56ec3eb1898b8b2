"""What parsers offer and default to, in words: the library's own tables need torch. A test compares the two."""

from __future__ import annotations

TOP_LEVEL_KEYS = ("plugins",)
"""Keys of the configuration that are in no node."""

CHECKED_DATA = (
    "llcm", "market_mm", "msvr310", "regdb", "rgbn300", "rgbnt100", "rgbnt201", "sysu_mm01", "wmveid863",
)  # fmt: skip
RENDERED_DATA = CHECKED_DATA
OWN_DATA = "table"
"""The data set of one's own images, from a CSV or Parquet file."""

INTERPOLATIONS = ("bilinear", "bicubic", "lanczos")
PLAIN = "bilinear"
RANGES_16BIT = ("full", "minmax", "fixed")

FEATURE_SUFFIXES = (".npz", ".safetensors", ".parquet", ".mat")
METRICS = ("euclidean", "cosine")
RERANK_K1, RERANK_K2, RERANK_LAMBDA = 20, 6, 0.3
RERANK_DISTANCES = ("squared", "plain")
AQE_K, AQE_ALPHA = 5, 0.0

TABLES = (
    "baselines_vi", "mip_frozen", "mip_ablation", "baselines_rgbnt", "dmpt_ladder", "dmpt_over_s",
    "semantic_length", "missing_modality", "dmpt_hypotheses", "dmpt_readings", "dmpt_plus", "mip_rates",
)  # fmt: skip

MIP_RELEASES = ("sysu_mm01", "regdb")
MIP_STRIDE = 12
MIP_IMAGE_SIZE = (256, 128)

TOWERS = ("mini_clip", "mini_vit", "mini_lit")
FIRST_SEED = 90_000

PROJECTIONS = ("tsne", "umap", "pca")
PICTURE_WIDTHS = ("column", "page", "screen")

REPORT_PARTS = (
    "results", "curves", "ranks", "embedding", "distances", "attention", "prompts", "diagnostics", "batch",
    "configuration", "environment", "intervals",
)  # fmt: skip
