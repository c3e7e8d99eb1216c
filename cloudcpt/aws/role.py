"""Whether the execution role is there, lets SageMaker in, and is allowed what the job needs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from cloudcpt.aws.errors import translated
from cloudcpt.jobs.access import Access, role_of
from cloudcpt.jobs.checks import Check, failed, not_checked, passed
from cloudcpt.jobs.policies import SERVICE, Policy, client_policy, execution_policy


def check_role(client: Any, access: Access) -> Check:
    """Look at a role and at who may assume it.

    Args:
        client: Of IAM.
        access: Names the role and the account.
    """
    name, arn = "role", access.role_arn
    if not arn:
        return not_checked(name, "the recipe names none (`launch.role`)")
    role = role_of(arn)
    if role is None:
        return failed(name, "CPT705", f"`{arn}` is not the ARN of a role", hint="`arn:aws:iam::123456789012:role/name`")
    if role.account != access.account_id:
        message = f"the role is of account {role.account}, the job of {access.account_id}"
        return failed(name, "CPT705", message, hint="SageMaker assumes roles of the job's own account only")
    with translated(f"look at the role `{role.name}`"):
        try:
            found = client.get_role(RoleName=role.name)["Role"]
        except ClientError as exc:
            if exc.response["Error"]["Code"] != "NoSuchEntity":
                raise
            hint = "make it with the policies of `cloudcpt iam print`"
            return failed(name, "CPT705", f"there is no role `{role.name}` in account {role.account}", hint=hint)
    if found["Arn"] != arn:
        message = f"the role `{role.name}` has another path: it is `{found['Arn']}`"
        return failed(name, "CPT705", message, hint=f"did you mean `{found['Arn']}`?")
    if not lets_in(found["AssumeRolePolicyDocument"], account_id=access.account_id):
        message = f"the trust policy of the role `{role.name}` does not let SageMaker assume it"
        return failed(name, "CPT706", message, hint="`cloudcpt iam print --role trust` prints one that does")
    return passed(name, f"{role.name}, SageMaker may assume it")


def lets_in(document: Mapping[str, Any], *, account_id: str) -> bool:
    """Tell whether a trust policy lets SageMaker act for an account.

    Of the conditions only `aws:SourceAccount` is judged: the others cannot be foretold.
    """
    fitting = [
        statement
        for statement in _each(document.get("Statement", ()))
        if SERVICE in _each(_services(statement)) or "*" in _each(_services(statement))
        if {"sts:AssumeRole", "sts:*", "*"} & set(_each(statement.get("Action", ())))
    ]
    if any(statement.get("Effect") == "Deny" and not statement.get("Condition") for statement in fitting):
        return False
    return any(statement.get("Effect") == "Allow" and _is_for(statement, account_id) for statement in fitting)


def _services(statement: Mapping[str, Any]) -> Any:
    principal = statement.get("Principal", ())
    return principal.get("Service", ()) if isinstance(principal, Mapping) else principal


def _is_for(statement: Mapping[str, Any], account_id: str) -> bool:
    for test, wanted in statement.get("Condition", {}).items():
        for key, values in wanted.items():
            if key.lower() == "aws:sourceaccount" and test == "StringEquals" and account_id not in _each(values):
                return False
    return True


def _each(value: Any) -> list[Any]:
    """Give what a policy may write alone or in a list."""
    return [value] if isinstance(value, str | Mapping) else list(value)


def check_role_permissions(client: Any, access: Access) -> Check:
    """Ask IAM's simulator whether the role may do what the job needs.

    A warning at most: the simulator sees neither the policies of buckets and keys nor those of the organization.
    """
    name = "role's permissions"
    if not access.role_arn:
        return not_checked(name, "the recipe names none (`launch.role`)")
    with translated("simulate the permissions of the role"):
        denied = _denied(client, access.role_arn, execution_policy(access))
    if denied:
        message = f"the policies of the role do not allow {_listed(denied)}"
        hint = "`cloudcpt iam print --role execution` prints a policy that does; a bucket's own policy may allow it too"
        return failed(name, "CPT707", message, hint=hint)
    return passed(name, "sufficient, as IAM simulates them")


def check_own_permissions(client: Any, arn: str, access: Access) -> Check:
    """Ask IAM's simulator whether the caller may do what submitting needs; a warning at most, as for the role.

    Args:
        client: Of IAM.
        arn: Of the caller, as STS says it.
        access: What is to be submitted.
    """
    name, source = "your permissions", policy_source(arn)
    if not source:
        return not_checked(name, f"IAM cannot simulate `{arn}`")
    with translated("simulate your permissions"):
        denied = _denied(client, source, client_policy(access))
    if denied:
        hint = "`cloudcpt iam print --role client` prints a policy that does"
        if "sagemaker:CreateTrainingJob" in denied and not access.volume_key:
            hint += "; one that demands `sagemaker:VolumeKmsKey` denies every job on local NVMe disks, such as P5 has"
        return failed(name, "CPT712", f"your policies do not allow {_listed(denied)}", hint=hint)
    return passed(name, "sufficient, as IAM simulates them")


def check_everywhere(client: Any, arn: str, actions: Sequence[str]) -> Check:
    """Ask IAM's simulator what the caller may do on every resource, where it is not known which ones matter.

    Args:
        client: Of IAM.
        arn: Of the caller.
        actions: Such as `s3:PutObject`.
    """
    name, source = "your permissions", policy_source(arn)
    if not source:
        return not_checked(name, f"IAM cannot simulate `{arn}`")
    everywhere: Policy = {"Statement": [{"Action": list(actions), "Resource": ["*"]}]}
    with translated("simulate your permissions"):
        denied = _denied(client, source, everywhere)
    if denied:
        # A good policy names its resources, and so does not allow this: it is no failure.
        why = f"not allowed on every resource: {_listed(denied)}"
        return not_checked(name, why, hint="`cloudcpt validate RECIPE --online` asks about the right resources")
    return passed(name, "everything that cloudcpt can ask for")


def policy_source(arn: str) -> str:
    """Give the user or role behind an identity; empty for the root user, which has no policies.

    The path of an assumed role is not in its ARN. Without one the guess is right, with one IAM says that there is no
    such role.
    """
    head, _, rest = arn.partition(":assumed-role/")
    if rest:
        return f"{head.replace(':sts:', ':iam:')}:role/{rest.partition('/')[0]}"
    return "" if arn.endswith(":root") else arn


def _denied(client: Any, source: str, policy: Policy) -> list[str]:
    """Simulate statement by statement, each with the resources and in the circumstances that it is written for."""
    denied: set[str] = set()
    for statement in policy["Statement"]:
        pages = client.get_paginator("simulate_principal_policy").paginate(
            PolicySourceArn=source,
            ActionNames=statement["Action"],
            ResourceArns=statement["Resource"],
            ContextEntries=_circumstances(statement.get("Condition", {})),
        )
        rows = [row for page in pages for row in page["EvaluationResults"]]
        denied |= {row["EvalActionName"] for row in rows if row["EvalDecision"] != "allowed"}
    return sorted(denied)


def _circumstances(conditions: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Turn the conditions of a statement into a request that meets them."""
    entries = []
    for test, wanted in conditions.items():
        if test == "Null":
            continue
        kind = "boolean" if test == "Bool" else "stringList" if test.startswith("For") else "string"
        for key, value in wanted.items():
            values = _each(value)
            met = values if kind == "stringList" else values[:1]
            entries.append({"ContextKeyName": key, "ContextKeyValues": met, "ContextKeyType": kind})
    return entries


def _listed(actions: Iterable[str]) -> str:
    return ", ".join(f"`{action}`" for action in actions)
