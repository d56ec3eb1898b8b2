from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="promptreid",
    version="0.1.0",
    description="Multi-modal re-identification with prompt-tuned transformers (MIP, DMPT), a plugin for torchreid",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.10",
    package_dir={"": "plugin"},
    packages=find_packages("plugin"),
    entry_points={"console_scripts": ["promptreid = promptreid.cli:main"]},
    package_data={"promptreid": ["py.typed", "weights/*.json", "weights/*.safetensors"]},
    install_requires=[
        "torch>=2.10,<2.14",
        "torchvision>=0.25,<0.29",
        "torchreid==0.2.5",
        "timm>=1.0.20",
        "open_clip_torch>=3.0",
        "yacs>=0.1.8",
        "tensorboard>=2.18",
        "numpy>=2.0",
        "safetensors>=0.5",
        "tqdm>=4.66",
        # torchreid 0.2.5 imports these, but declares no dependency at all.
        "scipy>=1.11",
        "opencv-python-headless>=4.10",
        "Pillow>=10.3",
        "gdown>=5.2",
        "six",
    ],
    extras_require={
        "fast": ["simplejpeg>=1.8"],
        "parquet": ["pyarrow>=15"],
        "test": ["pytest>=8", "pytest-xdist>=3.6", "hypothesis>=6.100", "simplejpeg>=1.8"],
        "check": ["ruff", "mypy"],
    },
)
