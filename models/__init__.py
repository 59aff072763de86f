"""Models: repository, manifests, sessions and training. Depends on `features` alone."""

import os

# ONNX Runtime's own wheels report models and machines to their maker unless told not to before they are imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
