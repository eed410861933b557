"""Open the page of the dashboard on which people sign in; run within the tutorial's folder."""

import json
import subprocess
import urllib.request

told = subprocess.run(["anew", "status", "rentals", "--json"], capture_output=True, text=True, check=True)
address = json.loads(told.stdout)["data"]["dashboard"]
with urllib.request.urlopen(f"{address}/sign-in") as reply:
    page = reply.read().decode()
assert reply.status == 200, reply.status
assert "token" in page, page[:500]
print(f"the dashboard answers at {address}")
