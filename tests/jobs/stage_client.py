"""A staging that kills itself: `stage_client.py URL FOLDER BYTES` dies by SIGKILL once so many bytes have come."""

import os
import signal
import sys
from pathlib import Path

from cloudcpt.hub.hugging_face import HuggingFace
from cloudcpt.jobs.intake import StagingProgress
from cloudcpt.jobs.stage import stage_model

url, folder, die_after = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])


def show(reached: StagingProgress) -> None:
    if reached.fetched_bytes >= die_after:
        os.kill(os.getpid(), signal.SIGKILL)


publisher = HuggingFace(url, token="", sleep=lambda _: None)
stage_model(publisher, publisher.find("org/model", ""), folder, show=show)
