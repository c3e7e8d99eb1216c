"""The process engine: jobs as folders on this machine, behind the ports of `cloudcpt.jobs`."""
