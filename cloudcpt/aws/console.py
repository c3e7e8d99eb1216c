"""Pages of the AWS console, in the partition that a region belongs to."""

_DOMAINS = {"cn-": "console.amazonaws.cn", "us-gov-": "console.amazonaws-us-gov.com"}
_ISOLATED = ("us-iso", "eu-iso", "eusc-")
"""Partitions whose console has an address that is not public, or not known here."""


def console_link(region: str, job_name: str) -> str | None:
    """Give the page of a training job; None where there is no public console."""
    if console := _console(region):
        return f"{console}/sagemaker/home?region={region}#/jobs/{job_name}"
    return None


def quotas_link(region: str) -> str | None:
    """Give the page where a higher quota of SageMaker is asked for; None where there is no public console."""
    if console := _console(region):
        return f"{console}/servicequotas/home/services/sagemaker/quotas?region={region}"
    return None


def _console(region: str) -> str | None:
    """Give the console's address in a region.

    Source: AWS general reference, "AWS Management Console endpoints"; 2026-11.
    """
    if region.startswith(_ISOLATED):
        return None
    domain = next((domain for start, domain in _DOMAINS.items() if region.startswith(start)), "console.aws.amazon.com")
    return f"https://{region}.{domain}"
