"""Run by the test in an environment of its own: Singer's `tap-quickbooks`, untouched but for where its hosts are.

Everything after the URL is the tap's own command line; its messages go to standard output as ever.
"""

from __future__ import annotations

import os
import sys

import tap_quickbooks
from tap_quickbooks import client

os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
URL = sys.argv.pop(1)
client.PROD_ENDPOINT_BASE = client.SANDBOX_ENDPOINT_BASE = URL
client.TOKEN_REFRESH_URL = f"{URL}/oauth2/v1/tokens/bearer"

if __name__ == "__main__":
    tap_quickbooks.main()
