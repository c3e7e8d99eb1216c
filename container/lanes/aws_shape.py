"""The Dockerfile on a base that is shaped like AWS's image, which no CI can hold: 10 GB, and a registry.

What its public Dockerfile has and our small Debian has not: torch in a virtual environment that is first on the path,
an entry point that wants a shell, empty folders below /opt/ml, another working directory, libraries on a path.

Source: AWS Deep Learning Containers, pytorch 2.13-cu133-amzn2023-sagemaker, its Dockerfile, 2026-11-21.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cloudcpt.local.containers import find_builder
from container.lanes.engines import BASE
from container.lanes.image import build, remove
from container.lanes.ledger import Failed
from container.lanes.steps import step

_BASE: Final = "localhost/cloudcpt-lane:aws-shaped"
_IMAGE: Final = "localhost/cloudcpt-lane:on-aws-shaped"

_DOCKERFILE: Final = f"""\
FROM {BASE}
RUN python3 -m venv --without-pip /opt/venv \\
 && mkdir -p /opt/ml/input/data /opt/ml/model /opt/ml/output /opt/ml/code /workspace \\
 && cd "$(/opt/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \\
 && mkdir torch torch-2.13.0.dist-info \\
 && printf '__version__ = "2.13.0"\\n' > torch/__init__.py \\
 && printf 'Metadata-Version: 2.1\\nName: torch\\nVersion: 2.13.0\\n' > torch-2.13.0.dist-info/METADATA
ENV PATH=/opt/venv/bin:$PATH LD_LIBRARY_PATH=/opt/venv/lib
WORKDIR /workspace
ENTRYPOINT ["bash", "-m", "start_with_right_hostname.sh"]
CMD ["/bin/bash"]
"""

_ENTRY: Final = ["/opt/cloudcpt/bin/python", "-m", "cloudcpt.train"]


def build_on_aws_shape(builder: str) -> str:
    """Make such a base, build on it, and see whose torch and whose entry point the image has.

    Raises:
        NotRun: the index of packages cannot be reached.
        Failed: the image is not what it should be.
    """
    engine = find_builder(builder)
    with TemporaryDirectory(prefix="cloudcpt-lane-") as folder:
        Path(folder, "Dockerfile").write_text(_DOCKERFILE, "utf-8")
        step(builder, "build", "--file", str(Path(folder, "Dockerfile")), "--tag", _BASE, folder)
        context = Path(folder, "context")
        build(builder, _IMAGE, "--base", _BASE, "--context", str(context))
        brought = [wheel.name for wheel in (context / "wheels").iterdir() if wheel.name.startswith("torch-")]
    try:
        if brought:
            raise Failed(f"the base has torch, and the build brought {brought[0]} all the same")
        seen = engine.ask_inside(_IMAGE, _ENTRY[0], "-c", "import torch; print(torch.__file__)").out.strip()
        if not seen.startswith("/opt/venv/"):
            raise Failed(f"the image imports torch from `{seen}`, not from its base")
        entry = engine.inspect(_IMAGE)["Config"]["Entrypoint"]
        if entry != _ENTRY:
            raise Failed(f"the entry point is the base's: {entry}")
    finally:
        remove(builder, _IMAGE)
        remove(builder, _BASE)
    return f"torch from {seen}"
