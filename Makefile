# Every command of the project. `make` or `make help` lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= python3
STACK ?= millrace
PORT ?= 4566
OWNER ?= default
SCOPES ?= admin
DAYS ?= 30
DIR ?= streams
FUZZ_SECONDS ?= 60
# Set to 1 for token, retire-key, logs, apply and demo against a deployment on AWS.
AWS ?=

LOCAL := .venv/local/bin/python infra/local/main.py
WHERE := --stack $(STACK) $(if $(AWS),--aws)
HOST := --profile host --locked
SAM := SAM_CLI_TELEMETRY=0 __SAM_CLI_APP_DIR=.venv/sam/settings .venv/sam/bin/sam
SAM_DEPLOY = $(SAM) deploy --stack-name $(STACK) --resolve-s3 --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND \
	--no-confirm-changeset --no-fail-on-empty-changeset

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  Settings: STACK=$(STACK) PORT=$(PORT); for token: OWNER=$(OWNER) SCOPES=$(SCOPES) DAYS=$(DAYS); AWS=1 for token, retire-key, logs, apply and demo on AWS;"
	@echo '            PARAMETERS="Name=value …" for run and deploy: parameters of template.yaml'

# ---------------------------------------------------------------- local AWS

.PHONY: run
run: .venv/local/.installed host ## Build, start the local AWS, deploy to it, and say how to use it
	@$(LOCAL) run --stack $(STACK) --port $(PORT) $(if $(PARAMETERS),--parameters $(PARAMETERS))

.PHONY: stop
stop: .venv/local/.installed ## End the local AWS and everything in it
	@$(LOCAL) stop

.PHONY: logs
logs: .venv/local/.installed ## Follow the logs of all functions
	@$(LOCAL) logs $(WHERE)

.PHONY: token
token: .venv/local/.installed ## Print a token (OWNER=… SCOPES=manage,ingest,read DAYS=…)
	@$(LOCAL) token $(WHERE) --owner $(OWNER) --scopes $(SCOPES) --days $(DAYS)

.PHONY: retire-key
retire-key: .venv/local/.installed ## Refuse the tokens of a signing key that is no longer in use (KID=…; without it, list the keys)
	@$(LOCAL) retire-key $(WHERE) --kid='$(KID)'

.PHONY: demo
demo: .venv/local/.installed ## Send real events through, and count them in S3 and in the history
	@$(LOCAL) exec $(WHERE) -- .venv/local/bin/python infra/local/demo.py $(DEMO_ARGS)

.PHONY: apply
apply: .venv/local/.installed ## Make the streams and resources of a folder that do not exist (DIR=streams/; UPDATE=1 changes those that do, PLAN=1 only looks)
	@$(LOCAL) exec $(WHERE) -- .venv/local/bin/python infra/local/apply.py $(DIR) $(if $(UPDATE),--update) $(if $(PLAN),--plan)

.PHONY: try
try: ## Take events of a file through the pipeline of a stream document, here and now (STREAM=file.yaml EVENTS=file.ndjson)
	@cargo build --quiet --workspace --bins --example try --test layers $(HOST)
	@"$${CARGO_TARGET_DIR:-target}/host/examples/try" "$(STREAM)" "$(EVENTS)"

# ---------------------------------------------------------------- quality

.PHONY: check
check: .venv/sam/.installed ## Format, clippy, docs, dependency audit, template lint
	cargo fmt --all --check
	cd fuzz && cargo fmt --check && cargo metadata --locked --format-version 1 > /dev/null
	cargo clippy --workspace --all-targets $(HOST) -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --workspace $(HOST)
	$(PYTHON) infra/checks/dependencies.py
	.venv/sam/bin/cfn-lint
	AWS_DEFAULT_REGION=us-east-1 $(SAM) validate --lint --template template.yaml

.PHONY: test
test: .venv/local/.installed host ## Run every test, the end-to-end ones against a local AWS of their own
	cargo test --workspace $(HOST) --no-run
	$(LOCAL) ephemeral -- .venv/local/bin/python infra/local/rotation_check.py
	$(LOCAL) ephemeral -- cargo test --workspace $(HOST)

.PHONY: openapi
openapi: ## Write openapi.json anew from the code
	UPDATE_OPENAPI=1 cargo test $(HOST) --package manage-streams --test openapi

# Naming a test makes cargo choose features as it does for all tests, so that `make test` after `make run` compiles no dependency twice.
.PHONY: host
host: # The functions for this machine, in target/host/
	@echo "building   the functions for this machine"
	@cargo build --workspace --bins --test layers $(HOST)

# One after the other, however many jobs make may run.
.PHONY: bench
bench: ## Measure everything that is measured
	$(MAKE) bench-pipeline
	$(MAKE) bench-ingest

.PHONY: bench-pipeline
bench-pipeline: ## Measure events a second and core of pipelines, beside the same by hand
	cargo bench --package process-stream --bench batch --locked

# Two commands: the examples want crates with features that the function must not be built with.
.PHONY: bench-ingest
bench-ingest: .venv/local/.installed .venv/bench/.installed host ## Measure ingest-events in its release build, beside three functions to compare with
	cargo build --release --locked --package ingest-events --bin ingest-events
	cargo build --release --locked --package ingest-events --examples
	PYTHONPATH=infra/local $(LOCAL) ephemeral -- .venv/local/bin/python infra/bench/ingest.py \
		--release "$${CARGO_TARGET_DIR:-target}/release" $(BENCH_ARGS)

# The flags are those by which libFuzzer sees which code an input reaches; they must not reach what runs while building, so a target is named.
.PHONY: fuzz
fuzz: ## Throw any bytes at ingest as bodies, for FUZZ_SECONDS=60 (wants a C++ compiler)
	@mkdir -p target/fuzz/corpus
	cd fuzz && RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
		-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table" \
		CARGO_TARGET_DIR=../target/fuzz cargo build --release --locked --target "$$(rustc -vV | sed -n 's/host: //p')"
	target/fuzz/"$$(rustc -vV | sed -n 's/host: //p')"/release/millrace-fuzz -max_total_time=$(FUZZ_SECONDS) -timeout=10 \
		-artifact_prefix=target/fuzz/ target/fuzz/corpus fuzz/seeds

# ---------------------------------------------------------------- artefacts

.PHONY: build
build: .venv/build/.installed ## Build the functions for Lambda: arm64 zips under target/lambda/
	PATH="$(CURDIR)/.venv/build/bin:$$PATH" cargo lambda build --workspace --bins --release --arm64 --output-format zip --locked
	@ls -l target/lambda/*/bootstrap.zip | awk '{ printf "%9.0f KiB  %s\n", $$5 / 1024, $$NF }'

.PHONY: deploy
deploy: .venv/sam/.installed .venv/local/.installed build ## Deploy to AWS with your AWS settings (STACK=… PARAMETERS="Stage=prod …")
	$(LOCAL) package --stack $(STACK) --zips target/lambda --out target/lambda/template.yaml
	$(SAM_DEPLOY) --template-file target/lambda/template.yaml $(if $(PARAMETERS),--parameter-overrides $(PARAMETERS))

.PHONY: deploy-smoke
deploy-smoke: .venv/sam/.installed .venv/local/.installed host ## Run that same `sam deploy` against a local AWS of its own
	$(LOCAL) package --stack $(STACK) --out target/host/template.yaml
	$(LOCAL) ephemeral --stack $(STACK) --empty -- $(MAKE) deploy-smoke-here

.PHONY: deploy-smoke-here
deploy-smoke-here: # Runs inside of deploy-smoke, which sets where to deploy
	$(SAM_DEPLOY) --template-file target/host/template.yaml
	$(LOCAL) exec --stack $(STACK) --endpoint "$$AWS_ENDPOINT_URL" -- \
		bash -c 'curl -sS --fail-with-body --write-out "\nGET /ready answered %{http_code}\n" "$$MILLRACE_URL/ready"'

.PHONY: clean
clean: ## Remove everything that was built or installed here (end the local AWS first)
	@if [[ -f .local/ministack.pid ]]; then $(MAKE) stop; fi
	rm -rf target .venv .local

# ---------------------------------------------------------------- Python tools, once, from full pins

.venv/%/.installed: infra/requirements/%.txt
	@echo "installing the Python tools of $*"
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; set PYTHON=…")'
	@rm -rf .venv/$*
	@$(PYTHON) -m venv .venv/$*
	@.venv/$*/bin/pip install --quiet --disable-pip-version-check --no-deps --requirement $<
	@touch $@
