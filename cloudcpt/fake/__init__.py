"""A cloud on one machine that judges what it is asked to do, for our tests and for a user's own CI.

    cloud.py        FakeCloud: starts everything below on loopback and gives the environment to reach it
      sagemaker.py  training jobs: limits, names, quotas, a clock that tests turn, scripts or real runs
      strict_s3.py  S3 in front of moto's store: checksums, owners, parts, conditions, keys, regions
      logs.py, iam.py, quotas.py, pricing.py, passing.py    what moto lacks or does too kindly
    front.py        one HTTP server per service: records every call, injects faults, answers
    faults.py       what can go wrong on the way, by operation, by number or by seed

moto stores; this package refuses. What it refuses, with the source of each rule, is in `shapes.py` (the service's own
model) and `job_rules.py` (what that model cannot say). Nothing else in cloudcpt imports this package; a test reaches
it through boto3 and an endpoint, as it would reach AWS.
"""
