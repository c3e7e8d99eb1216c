"""`cloudcpt image push IMAGE REPOSITORY`: into a registry, and what a recipe calls the image from then on."""

import click

from cloudcpt import __version__
from cloudcpt.cli import render
from cloudcpt.cli.image_options import engine_option, image_argument


@click.command()
@image_argument
@click.option(
    "--to",
    "target",
    required=True,
    metavar="REPOSITORY",
    help="Such as 123456789012.dkr.ecr.us-east-1.amazonaws.com/cloudcpt; the tag is the version if it names none.",
)
@engine_option
@click.option("--plain-http", is_flag=True, help="The registry is on this machine and speaks HTTP.")
@render.output_option
def command(image: str, target: str, program: str, plain_http: bool, output: str) -> None:
    """Push IMAGE and print the digest that `launch.image` of a recipe takes.

    For a private registry of AWS the password comes from your AWS credentials, and a repository that is missing is
    made, with tags that cannot be moved. Check an image before you push it: `cloudcpt image check`.
    """
    from cloudcpt.image.push import log_in, push
    from cloudcpt.jobs.access import private_image
    from cloudcpt.local.containers import find_engine

    engine = find_engine(program)
    if ":" not in target.rpartition("/")[2]:
        target += f":{__version__}"
    private = private_image(target)
    if private is not None:
        from cloudcpt.aws.registry import registry_login

        login = registry_login(account=private.account, region=private.region, repository=private.repository)
        log_in(engine, login.registry, login.user, login.password)
    with render.live_progress(f"pushing {target}") as progress:
        progress.update(0, None, "the layers that the registry does not have")
        pushed = push(engine, image, target, is_plain=plain_http)
    if output == "json":
        render.print_json({"image": pushed})
        return
    render.out().print(pushed)
    render.err().print(f"\nnext, in the recipe:\n\n  launch:\n    image: {pushed}", style="faint")
