"""A LitServe API; ``lit.py PORT``."""

from __future__ import annotations

import sys

import litserve
from model import Session


class Forest(litserve.LitAPI):
    # Unannotated: LitServe takes an annotation for the schema of the request
    def setup(self, device):
        self.session = Session()

    def decode_request(self, request):
        return request["rows"]

    def predict(self, x):
        return self.session.predict(x)

    def encode_response(self, output):
        return output


if __name__ == "__main__":
    server = litserve.LitServer(Forest(), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        log_level="error",
        generate_client_file=False,
    )
