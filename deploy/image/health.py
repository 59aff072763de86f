"""Ask this container's process how it is: prints what it answers and leaves with 0 if that is good.

`python health.py /readyz`; without a path, /healthz. What it printed is what `docker inspect` shows.
"""

import http.client
import os
import sys

TIMEOUT_S = 3
ANSWER_BYTES_MAX = 2000

connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["HEADRACE_HTTP__PORT"]), timeout=TIMEOUT_S)
try:
    connection.request("GET", sys.argv[1] if len(sys.argv) > 1 else "/healthz")
    answer = connection.getresponse()
    sys.stdout.write(answer.read(ANSWER_BYTES_MAX).decode())
    sys.exit(answer.status != http.HTTPStatus.OK)
except OSError as error:
    sys.exit(f"no answer: {error}")
