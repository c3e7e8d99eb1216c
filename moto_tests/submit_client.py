"""Clients that submit a plan to the cloud and can be killed; see `moto_tests.mortals`. An order has

plan            file of the plan
paths           BLAKE3 -> local file
state           the state directory, whose files are watched

What they do is what `cloudcpt submit` does once the account was looked at and the cost was confirmed.
"""

from pathlib import Path

from cloudcpt.aws.engine import CloudEngine
from cloudcpt.aws.object_store import S3ObjectStore
from cloudcpt.aws.session import AwsSession
from cloudcpt.jobs.consignment import send_inputs
from cloudcpt.jobs.journal import UploadJournal
from cloudcpt.jobs.submit import submit
from cloudcpt.plan.plan import read_plan
from moto_tests.mortals import Events, Order, serve

REGION = "us-east-1"


def main() -> None:
    """Serve orders until stdin ends."""
    session = AwsSession(region=REGION)
    store = S3ObjectStore(session, bucket="my-bucket", owner="123456789012")
    clients = {(service, REGION): session.client(service) for service in ("sagemaker", "logs", "s3")}

    def be_a_client(order: Order, events: Events) -> None:
        state = Path(order["state"])
        events.watch_client(store._client, "s3")
        events.watch_client(clients["sagemaker", REGION], "sagemaker")
        events.watch_client(clients["logs", REGION], "cloudwatch-logs")
        events.watch_files(order["state"])
        plan = read_plan(Path(order["plan"]))
        paths = {blake3: Path(path) for blake3, path in order["paths"].items()}
        send_inputs(store, plan, paths, journal=UploadJournal(state / "uploads"), resume="again")
        engine = CloudEngine(session, state)
        engine._clients |= clients  # making one takes longer than all the rest
        submit(engine, plan)

    serve(be_a_client)


if __name__ == "__main__":
    main()
