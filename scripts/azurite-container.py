"""Makes a container in Azurite, with the account and key that it documents: azurite-container.py URL NAME."""

import base64
import hashlib
import hmac
import sys
import urllib.request
from email.utils import formatdate

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

url, name = sys.argv[1:]
date = formatdate(usegmt=True)
version = "2021-08-06"
signed = "\n".join(
    ["PUT", *[""] * 11, f"x-ms-date:{date}", f"x-ms-version:{version}", f"/{ACCOUNT}/{ACCOUNT}/{name}", "restype:container"]
)
signature = base64.b64encode(hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()).decode()
request = urllib.request.Request(f"{url}/{ACCOUNT}/{name}?restype=container", method="PUT", data=b"")
request.add_header("x-ms-date", date)
request.add_header("x-ms-version", version)
request.add_header("Authorization", f"SharedKey {ACCOUNT}:{signature}")
request.add_header("Content-Length", "0")
request.remove_header("Content-type")
request.add_unredirected_header("Content-Type", "")
print(urllib.request.urlopen(request).status)
