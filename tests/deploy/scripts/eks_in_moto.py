"""Started with the Python of .venv-deploy: moto's server with an EKS cluster that is elsewhere.

usage: eks_in_moto.py PORT REGION CLUSTER ENDPOINT CA_FILE

moto invents the address and the certificate of a cluster; here they are those of the API stand-in,
so that what `aws eks update-kubeconfig` writes leads there.
"""

import base64
import signal
import sys
from pathlib import Path

from moto.eks.models import eks_backends
from moto.server import ThreadedMotoServer

port, region, name, endpoint, ca_file = sys.argv[1:]
backend = eks_backends["123456789012"][region]
cluster = backend.create_cluster(
    name=name, role_arn="arn:aws:iam::123456789012:role/eks", resources_vpc_config={}
)
cluster.endpoint = endpoint
cluster.certificate_authority = {"data": base64.b64encode(Path(ca_file).read_bytes()).decode()}
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
server = ThreadedMotoServer("127.0.0.1", int(port), verbose=False)
server.start()
signal.sigwait([signal.SIGTERM])
server.stop()
