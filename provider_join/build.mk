# What concerns owners' machines: their exact versions, and their accelerators. Included by the Makefile.
.PHONY: gpu locks
UV ?= $(BIN)/uv
LOCKS := linux:provider linux:provider-cuda windows:provider windows:provider-cuda windows:provider-directml macos:provider

gpu: $(STAMP)    ## Models on this machine's accelerators, against the processor's results (skipped where there is none)
	$(BIN)/python -m pytest tests/gpu -rs

locks:           ## Resolve each flavour of ONNX Runtime for each system around constraints.txt (needs uv; `make lock` does it too)
	set -e; for lock in $(LOCKS); do MACOSX_DEPLOYMENT_TARGET=14.0 $(UV) pip compile --quiet pyproject.toml --extra "$${lock#*:}" \
	  --python-version 3.11 --python-platform "$${lock%%:*}" -c constraints.txt --no-header --no-annotate --no-emit-index-url \
	  --output-file "provider_join/locks/$${lock%%:*}-$${lock#*:}.txt" >/dev/null; done
