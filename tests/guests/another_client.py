"""A client of registries that is not ours: another_client.py pull REFERENCE FOLDER, or push REFERENCE COMPONENT. Exits with 77 where
there is no oras."""

import json
import os
import sys

try:
    import oras.client
except ImportError:
    sys.exit(77)

command, reference, what = sys.argv[1:]
client = oras.client.OrasClient(insecure=True)
if command == "pull":
    os.makedirs(what)
    client.pull(target=reference, outdir=what)
else:
    with open("config.json", "w", encoding="utf-8") as config:
        json.dump({"architecture": "wasm", "os": "wasip2"}, config)
    client.push(
        target=reference,
        files=[f"{what}:application/wasm"],
        manifest_config="config.json:application/vnd.wasm.config.v0+json",
        disable_path_validation=True,
    )
