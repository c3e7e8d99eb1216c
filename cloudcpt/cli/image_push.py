"""`cloudcpt image push IMAGE REPOSITORY`: into a registry, and what a recipe calls the image from then on."""

import click

from cloudcpt import __version__
from cloudcpt.cli import render
from cloudcpt.cli.image_options import builder_option, new_address, own_image


@click.command()
@click.argument("image", default=own_image("gpu"))
@click.option(
    "--to",
    "target",
    required=True,
    metavar="REPOSITORY",
    callback=new_address,
    help="Such as 123456789012.dkr.ecr.us-east-1.amazonaws.com/cloudcpt; the tag is the version if it names none.",
)
@builder_option
@click.option("--plain-http", is_flag=True, help="The registry is on this machine and speaks HTTP.")
@render.output_option
def command(image: str, target: str, program: str, plain_http: bool, output: str) -> None:
    """Push IMAGE and print the digest that `launch.image` of a recipe takes.

    For a private registry of AWS the password comes from your AWS credentials, and a repository that is missing is
    made, with tags that cannot be moved. Check an image before you push it: `cloudcpt image check`.
    """
    from cloudcpt.image.push import push, push_privately
    from cloudcpt.jobs.access import private_image
    from cloudcpt.local.containers import find_builder

    engine = find_builder(program)
    if ":" not in target.rpartition("/")[2]:
        target += f":{__version__}"
    with render.live_progress(f"pushing {target}") as progress:
        if private_image(target):
            pushed = push_privately(engine, image, target, progress.line)
        else:
            pushed = push(engine, image, target, progress.line, is_plain=plain_http)
    if output == "json":
        render.print_json({"image": pushed})
        return
    render.out().print(pushed)
    render.err().print(f"\nnext, in the recipe:\n\n  launch:\n    image: {pushed}", style="faint")
