"""Clients that upload files and can be killed; see `moto_tests.mortals`. An order has

files           [path, size in bytes, BLAKE3, key] each
journal         folder, whose files are watched
parts_in_flight
part_bytes      of every part but the last
"""

from pathlib import Path

from cloudcpt.aws.object_store import S3ObjectStore
from cloudcpt.aws.session import AwsSession
from cloudcpt.jobs.journal import UploadJournal
from cloudcpt.jobs.local_file import LocalFile
from cloudcpt.jobs.upload import upload
from moto_tests.mortals import Events, Order, serve


def main() -> None:
    """Serve orders until stdin ends."""
    # It has no connection and no thread before it sends something, and only children do.
    store = S3ObjectStore(AwsSession(region="us-east-1"), bucket="bucket", owner="123456789012")

    def be_a_client(order: Order, events: Events) -> None:
        events.watch_client(store._client, "s3")
        events.watch_files(order["journal"])
        files = [
            LocalFile(path=Path(path), size_bytes=size, blake3=blake3, key=key)
            for path, size, blake3, key in order["files"]
        ]
        upload(
            store,
            files,
            journal=UploadJournal(Path(order["journal"])),
            resume="again",
            parts_in_flight=order["parts_in_flight"],
            smallest_part_bytes=order["part_bytes"],
        )

    serve(be_a_client)


if __name__ == "__main__":
    main()
